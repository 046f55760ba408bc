// SPDX-License-Identifier: GPL-3.0-or-later
// The differentiable path of the codecs against the closed forms of algorithm.md 1.20, in double
// precision.
#include "quant/affine.h"
#include "quant/codec.h"
#include "quant/rounding.h"
#include "support/test_main.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <QtTest>

using namespace bitsmith;
using namespace bitsmith::quant;

class CodecGradientTest : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void roundsWithDerivativeOne();
    void clampsWithTheBoundsInside();
    void givesTheClosedFormForSymmetricCodes();
};

void CodecGradientTest::roundsWithDerivativeOne()
{
    const at::Tensor x = at::tensor({0.5, 1.5, -2.5, 0.3, 1e30}, at::kDouble).requires_grad_();
    const at::Tensor y = round_ste(x);
    QVERIFY(at::equal(y, at::tensor({0.0, 2.0, -2.0, 0.0, 1e30}, at::kDouble)));
    (y * at::tensor({1.0, 2.0, 3.0, 4.0, 5.0}, at::kDouble)).sum().backward();
    QVERIFY(at::equal(x.grad(), at::tensor({1.0, 2.0, 3.0, 4.0, 5.0}, at::kDouble)));
}

void CodecGradientTest::clampsWithTheBoundsInside()
{
    const at::Tensor x = at::tensor({-1.0, 0.0, 1.0, 3.0, 4.0}, at::kDouble).requires_grad_();
    clamp_inside(x, 0, 3).sum().backward();
    QVERIFY(at::equal(x.grad(), at::tensor({0.0, 1.0, 1.0, 1.0, 0.0}, at::kDouble)));
    x.mutable_grad().zero_();
    clamp_ste(x, 0, 3).sum().backward();
    QVERIFY(at::equal(x.grad(), at::ones({5}, at::kDouble)));
    x.mutable_grad().zero_();
    const at::Tensor y = apart_from_zero(x, 1);
    QVERIFY(at::equal(y, at::tensor({-1.0, 1.0, 1.0, 3.0, 4.0}, at::kDouble)));
    y.sum().backward();
    QVERIFY(at::equal(x.grad(), at::tensor({0.0, 0.0, 0.0, 1.0, 1.0}, at::kDouble)));
}

void CodecGradientTest::givesTheClosedFormForSymmetricCodes()
{
    Scheme scheme;
    scheme.bits = 2;
    scheme.group_size = 16;
    at::manual_seed(1);
    const at::Tensor w = at::randn({3, 32}, at::kDouble), g = at::randn({3, 32}, at::kDouble);
    const GroupLayout layout(scheme, 3, 32);
    TunedValues tuned;
    tuned.v = (at::randn({3, 2, 16}, at::kDouble) * 0.4).requires_grad_();
    tuned.min_scale = (at::rand({3, 2}, at::kDouble) * 0.5 + 0.4).requires_grad_();
    tuned.max_scale = (at::rand({3, 2}, at::kDouble) * 0.5 + 0.4).requires_grad_();
    (codec_for(scheme).fake_quantize(w, scheme, tuned) * g).sum().backward();

    const at::NoGradGuard no_grad;
    const at::Tensor grouped = layout.split(w), gradient = layout.split(g);
    const GroupRange range = group_range(grouped);
    const AffineParameters p = affine_parameters(range, scheme, tuned);
    const at::Tensor s = p.scale.unsqueeze(-1), steps = grouped / s;
    const at::Tensor rounded = at::round(steps + tuned.v);
    const at::Tensor inside = ((rounded >= -2).logical_and_(rounded <= 1)).to(at::kDouble);
    QVERIFY(inside.sum().item<double>() < 96); // some are clamped, or this tests too little
    QVERIFY(at::allclose(tuned.v.grad(), gradient * s * inside));
    const at::Tensor scale_sum = (gradient * (rounded.clamp(-2, 1) - inside * steps)).sum(2);
    const at::Tensor below = -(range.min * tuned.min_scale), above = range.max * tuned.max_scale;
    QVERIFY(at::allclose(tuned.max_scale.grad(),
        at::where(above > below, scale_sum * -range.max / 2, at::zeros_like(scale_sum))));
    QVERIFY(at::allclose(tuned.min_scale.grad(),
        at::where(above < below, scale_sum * -range.min / 2, at::zeros_like(scale_sum))));
}

BITSMITH_TEST(CodecGradientTest)
#include "codec_gradient_test.moc"
