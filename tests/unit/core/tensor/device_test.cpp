// SPDX-License-Identifier: GPL-3.0-or-later
#include "support/expect_error.h"
#include "support/test_main.h"
#include "tensor/device.h"

#include <bitsmith/device.h>

#include <ATen/Parallel.h>

#include <QtTest>

using namespace bitsmith;
using namespace bitsmith::tensor;

class DeviceTest : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void listsTheProcessorFirst();
    void resolvesTheCpu();
    void refusesUnknownDevices_data();
    void refusesUnknownDevices();
    void saysWhyCudaIsNotThere();
    void resolvesAutoToTheFirstUsableCard();
    void setsTheNumberOfThreads();
    void computesOnTheCardThatIsListed();
};

void DeviceTest::listsTheProcessorFirst()
{
    const std::vector<DeviceInfo> devices = list_devices();
    QVERIFY(!devices.empty());
    QCOMPARE(devices[0].id, std::string("cpu"));
    QVERIFY(!devices[0].name.empty());
    QVERIFY(devices[0].total_bytes > 0);
    QVERIFY(devices[0].free_bytes <= devices[0].total_bytes);
    QVERIFY(device_bytes_used(to_device("cpu")) > 0);
    QVERIFY(device_bytes_peak(to_device("cpu")) >= device_bytes_used(to_device("cpu")) / 2);
}

void DeviceTest::resolvesTheCpu()
{
    QCOMPARE(resolve_device("cpu"), std::string("cpu"));
    QVERIFY(to_device("cpu").is_cpu());
    const bool fast = list_devices()[0].fast_bf16;
    QCOMPARE(compute_type(to_device("cpu")), fast ? c10::kBFloat16 : c10::kFloat);
}

void DeviceTest::refusesUnknownDevices_data()
{
    QTest::addColumn<QString>("wish");
    for (const char* wish : {"", "gpu", "cuda:", "cuda:x", "cuda:-1", "cuda:1x", "cpu:0", "CUDA",
             "cuda:99999999999999999999"}) {
        QTest::newRow(wish) << wish;
    }
}

void DeviceTest::refusesUnknownDevices()
{
    QFETCH(QString, wish);
    EXPECT_ERROR(
        DeviceUnavailable, EXPECT_WORDS({"auto, cpu, cuda"}), resolve_device(wish.toStdString()));
}

void DeviceTest::saysWhyCudaIsNotThere()
{
    const std::vector<DeviceInfo> devices = list_devices();
    EXPECT_ERROR(
        DeviceUnavailable, EXPECT_WORDS({"cuda:4095", "reason"}), resolve_device("cuda:4095"));
    if (devices.size() > 1) {
        QSKIP("this machine has a card");
    }
    EXPECT_ERROR(DeviceUnavailable, EXPECT_WORDS({"cuda", "reason"}), resolve_device("cuda"));
}

void DeviceTest::resolvesAutoToTheFirstUsableCard()
{
    const std::vector<DeviceInfo> devices = list_devices();
    const bool usable = devices.size() > 1 && devices[1].note.empty();
    QCOMPARE(resolve_device("auto"), std::string(usable ? "cuda:0" : "cpu"));
}

void DeviceTest::setsTheNumberOfThreads()
{
    const int before = at::get_num_threads();
    set_up_cpu(1);
    QCOMPARE(at::get_num_threads(), 1);
    set_up_cpu(0);
    QVERIFY(at::get_num_threads() >= 1);
    set_up_cpu(before);
}

void DeviceTest::computesOnTheCardThatIsListed()
{
    const std::vector<DeviceInfo> devices = list_devices();
    if (devices.size() < 2 || !devices[1].note.empty()) {
        QSKIP(devices.size() < 2 ? "no CUDA card" : devices[1].note.c_str());
    }
    const c10::Device device = to_device(resolve_device("cuda:0"));
    const at::Tensor a = at::ones({64, 64}, at::TensorOptions(at::kFloat).device(device));
    QCOMPARE(at::matmul(a, a).cpu()[3][5].item<float>(), 64.F);
    QVERIFY(device_bytes_used(device) >= 64 * 64 * 4);
    QVERIFY(device_bytes_peak(device) >= device_bytes_used(device));
    QVERIFY(devices[1].total_bytes > 0 && devices[1].free_bytes <= devices[1].total_bytes);
}

BITSMITH_TEST(DeviceTest)
#include "device_test.moc"
