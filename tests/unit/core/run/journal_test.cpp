// SPDX-License-Identifier: GPL-3.0-or-later
#include "run/checksum.h"
#include "run/journal.h"
#include "support/test_main.h"

#include <bitsmith/spec_json.h>

#include <QTemporaryDir>
#include <QtTest>

#include <fstream>

using namespace bitsmith;

class JournalTest : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void computesTheChecksumOfTheStandard();
    void keepsEveryWholeRecordWhereverItIsTorn();
    void skipsADamagedRecord();
    void goesOnAfterATornRecord();
    void appendsAcrossFlushes();
    void writesAWholeRecordAfterAFailedWrite();
};

namespace {

Event numbered_event(int64_t number)
{
    return {number, 1000 + number, BlockStarted{number, 7, 200}};
}

std::string three_records()
{
    return journal_line(numbered_event(0)) + journal_line(numbered_event(1))
        + journal_line(numbered_event(2));
}

std::filesystem::path file_in(const QTemporaryDir& folder)
{
    return std::filesystem::path(folder.path().toStdString()) / "journal";
}

/// Writes half of what it is given once, then fails.
class HalfSink : public ByteSink
{
public:
    HalfSink(std::unique_ptr<ByteSink> real, bool& fails)
        : real_(std::move(real))
        , fails_(fails)
    { }
    void write(std::span<const std::byte> bytes) override
    {
        if (fails_) {
            fails_ = false;
            real_->write(bytes.first(bytes.size() / 2));
            fail(ErrorCode::WriteFailed, "disk full");
        }
        real_->write(bytes);
    }
    int64_t size() const override { return real_->size(); }
    void finish() override { real_->finish(); }

private:
    std::unique_ptr<ByteSink> real_;
    bool& fails_;
};

class HalfDisk : public FileSystem
{
public:
    using Path = std::filesystem::path;
    std::unique_ptr<ByteSink> create(const Path& file) override { return disk().create(file); }
    std::unique_ptr<ByteSink> append(const Path& file) override
    {
        return std::make_unique<HalfSink>(disk().append(file), fails);
    }
    void create_folders(const Path& folder) override { disk().create_folders(folder); }
    void rename(const Path& from, const Path& to) override { disk().rename(from, to); }
    void remove_all(const Path& path) override { disk().remove_all(path); }
    void sync_folder(const Path& folder) override { disk().sync_folder(folder); }

    bool fails = false;
};

} // namespace

void JournalTest::computesTheChecksumOfTheStandard()
{
    QCOMPARE(crc_text(crc32("123456789")), std::string("cbf43926"));
    QCOMPARE(crc32(""), 0U);
    const std::string text = "a text that is longer than one step of eight bytes";
    const auto bytes = std::as_bytes(std::span(text.data(), text.size()));
    for (std::size_t cut = 0; cut <= text.size(); ++cut) {
        QCOMPARE(crc32(bytes.subspan(cut), crc32(bytes.first(cut))), crc32(text));
    }
}

void JournalTest::keepsEveryWholeRecordWhereverItIsTorn()
{
    const std::string text = three_records();
    for (std::size_t size = 0; size <= text.size(); ++size) {
        const std::string_view torn = std::string_view(text).substr(0, size);
        const auto whole = std::count(torn.begin(), torn.end(), '\n');
        const JournalPart part = parse_journal(torn);
        QCOMPARE(static_cast<long>(part.events.size()), static_cast<long>(whole));
        for (std::size_t i = 0; i < part.events.size(); ++i) {
            QCOMPARE(part.events[i].sequence, static_cast<int64_t>(i));
        }
        // Reading goes on behind the last whole line.
        const JournalPart rest =
            parse_journal(text.substr(static_cast<std::size_t>(part.consumed)));
        QCOMPARE(part.events.size() + rest.events.size(), std::size_t{3});
    }
}

void JournalTest::skipsADamagedRecord()
{
    const std::string text = three_records();
    const std::size_t second = text.find('\n') + 1;
    const std::size_t third = text.find('\n', second) + 1;
    for (std::size_t at = second; at + 1 < third; ++at) {
        std::string damaged = text;
        damaged[at] = damaged[at] == '#' ? '$' : '#';
        const JournalPart part = parse_journal(damaged);
        QCOMPARE(part.events.size(), std::size_t{2});
        QCOMPARE(part.events[1].sequence, int64_t{2});
    }
}

void JournalTest::goesOnAfterATornRecord()
{
    QTemporaryDir folder;
    const std::string torn =
        journal_line(numbered_event(0)) + journal_line(numbered_event(1)).substr(0, 20);
    std::ofstream(file_in(folder), std::ios::binary) << torn;
    JournalWriter writer(disk(), file_in(folder));
    writer.append(numbered_event(2));
    writer.flush();
    const JournalPart part = parse_journal(read_text_file(file_in(folder)));
    QCOMPARE(part.events.size(), std::size_t{2});
    QCOMPARE(part.events[1].sequence, int64_t{2});
}

void JournalTest::appendsAcrossFlushes()
{
    QTemporaryDir folder;
    JournalWriter writer(disk(), file_in(folder));
    for (int64_t i = 0; i < 20; ++i) {
        writer.append(numbered_event(i));
        if (i % 3 == 0) {
            writer.flush();
        }
    }
    QCOMPARE(parse_journal(read_text_file(file_in(folder))).events.size(), std::size_t{20});
}

void JournalTest::writesAWholeRecordAfterAFailedWrite()
{
    QTemporaryDir folder;
    HalfDisk half;
    JournalWriter writer(half, file_in(folder));
    writer.append(numbered_event(0));
    half.fails = true;
    QVERIFY_EXCEPTION_THROWN(writer.append(numbered_event(1)), Error);
    writer.append(numbered_event(2));
    const JournalPart part = parse_journal(read_text_file(file_in(folder)));
    QCOMPARE(part.events.size(), std::size_t{2});
    QCOMPARE(part.events[1].sequence, int64_t{2});
}

BITSMITH_TEST(JournalTest)
#include "journal_test.moc"
