// SPDX-License-Identifier: GPL-3.0-or-later
#include "hf/chat_template.h"
#include "hf_fixtures.h"
#include "support/test_main.h"

#include <bitsmith/error.h>

#include <QtTest>

using namespace bitsmith;
using namespace bitsmith::hf;

namespace {

const std::vector<ChatMessage> kConversation{
    {"user", "What is 2 + 2?"}, {"assistant", "It is 4."}, {"user", "Grüße \"zurück\""}};

std::string render(const std::string& source, bool prompt = true)
{
    ChatTemplate chat;
    chat.source = source;
    chat.bos_token = "<s>";
    chat.eos_token = "</s>";
    return chat.render(kConversation, prompt);
}

} // namespace

class ChatTemplateTest : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void rendersLikeTransformers_data();
    void rendersLikeTransformers();
    void stopsRunawayTemplates_data();
    void stopsRunawayTemplates();
    void saysWhatTheTemplateRaised();
    void rendersEveryTemplateOrSaysWhy();
};

void ChatTemplateTest::rendersLikeTransformers_data()
{
    QTest::addColumn<QString>("source");
    QTest::addColumn<QString>("expected");
    QTest::newRow("messages and tokens")
        << "{{ bos_token }}{% for m in messages %}[{{ m['role'] }}]{{ m.content }}{{ eos_token "
           "}}{% endfor %}"
        << "<s>[user]What is 2 + 2?</s>[assistant]It is 4.</s>[user]Grüße \"zurück\"</s>";
    QTest::newRow("generation prompt") << "{% if add_generation_prompt %}>{% endif %}"
                                       << ">";
    QTest::newRow("absent inputs are none")
        << "{{ tools is none }} {{ tools is defined }} {{ foo is defined }}"
        << "True True False";
    QTest::newRow("block lines leave no trace") << "a\n  {% if true %}\nb\n  {% endif %}\nc"
                                                << "a\nb\nc";
    QTest::newRow("JSON as Python writes it")
        << "{{ messages[2] | tojson }}{{ {'a': [1, true, none], 'b': {}} | tojson(indent=2) }}"
        << "{\"role\": \"user\", \"content\": \"Grüße \\\"zurück\\\"\"}"
           "{\n  \"a\": [\n    1,\n    true,\n    null\n  ],\n  \"b\": {}\n}";
    QTest::newRow("Python methods") << "{{ ' a,b '.strip().split(',')[-1] }}{{ "
                                       "'abc'.startswith('ab') }}{{ messages[0].get('x', 'y') }}"
                                    << "bTruey";
    QTest::newRow("reversed and negative slices")
        << "{{ messages[::-1][0].role }}{{ messages[:-1] | length }}"
        << "user2";
    QTest::newRow("namespace, break, continue")
        << "{% set n = namespace(i=0) %}{% for m in messages %}{% if m.role == 'assistant' %}"
           "{% continue %}{% endif %}{% set n.i = n.i + 1 %}{% endfor %}{{ n.i }}"
        << "2";
    QTest::newRow("generation marks") << "{%- generation -%} x {%- endgeneration %}"
                                      << "x";
    QTest::newRow("date") << "{{ strftime_now('%d %b %Y') }}"
                          << "26 Jul 2024";
    QTest::newRow("macro") << "{% macro f(x) %}<{{ x }}>{% endmacro %}{{ f('a') }}"
                           << "<a>";
}

void ChatTemplateTest::rendersLikeTransformers()
{
    QFETCH(QString, source);
    QFETCH(QString, expected);
    QCOMPARE(QString::fromStdString(render(source.toStdString())), expected);
}

void ChatTemplateTest::stopsRunawayTemplates_data()
{
    QTest::addColumn<QString>("source");
    const QString loops = "{% for a in range(99999) %}{% for b in range(99999) %}%1{% endfor %}"
                          "{% endfor %}";
    QTest::newRow("loop without output") << loops.arg("");
    QTest::newRow("loop with output") << loops.arg("xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx");
    QTest::newRow("endless recursion") << "{% macro f(x) %}{{ f(x) }}{% endmacro %}{{ f(1) }}";
    QTest::newRow("repeated string") << "{{ 'abcdefgh' * 9999999999 }}";
    QTest::newRow("deep expression")
        << "{{ " + QString(100'000, '(') + "1" + QString(100'000, ')') + " }}";
    QTest::newRow("deep blocks") << QString("{% if 1 %}").repeated(20'000);
    QTest::newRow("syntax error") << "{% for m in %}";
    QTest::newRow("include") << "{% include '/etc/passwd' %}";
    QTest::newRow("host objects") << "{{ messages.__class__.__mro__[1].__subclasses__() }}";
}

void ChatTemplateTest::stopsRunawayTemplates()
{
    QFETCH(QString, source);
    try {
        render(source.toStdString());
        QFAIL("no error");
    } catch (const Error& error) {
        QCOMPARE(error.code(), ErrorCode::UnsupportedModel);
    }
}

void ChatTemplateTest::saysWhatTheTemplateRaised()
{
    try {
        render("{{ raise_exception('roles must alternate') }}");
        QFAIL("no error");
    } catch (const Error& error) {
        QVERIFY(QString::fromStdString(error.message()).endsWith(": roles must alternate"));
    }
}

void ChatTemplateTest::rendersEveryTemplateOrSaysWhy()
{
    const auto folder = fixture("tokenizers/chat_templates");
    if (!folder) {
        QSKIP("no fixtures: set BITSMITH_FIXTURES");
    }
    int rendered = 0;
    for (const auto& entry : std::filesystem::directory_iterator(*folder)) {
        if (entry.path().extension() != ".jinja") {
            continue;
        }
        try {
            const std::string text = render(read_fixture(entry.path()));
            QVERIFY2(text.find("It is 4.") != std::string::npos, entry.path().c_str());
            ++rendered;
        } catch (const Error& error) {
            qWarning("%s: %s", entry.path().filename().c_str(), error.what());
        }
    }
    QVERIFY(rendered >= 50);
}

BITSMITH_TEST(ChatTemplateTest)

#include "chat_template_test.moc"
