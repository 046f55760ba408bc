// SPDX-License-Identifier: GPL-3.0-or-later
#include "support/expect_error.h"
#include "support/test_main.h"

#include <bitsmith/catalog.h>
#include <bitsmith/error.h>
#include <bitsmith/job_spec.h>

#include <QtTest>

using namespace bitsmith;

class RecipeTest : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void findsEveryCataloguedRecipeByName();
    void hasTheNumbersOfTheReference();
    void namesTheNearestRecipeInErrors();
    void referenceModeSetsEveryDifference();
    void algorithmsChangeStepsAndStart();
};

void RecipeTest::findsEveryCataloguedRecipeByName()
{
    QCOMPARE(recipe_catalog().size(), std::size_t{7});
    for (const RecipeInfo& info : recipe_catalog()) {
        QVERIFY(named_recipe(info.recipe.name) == info.recipe);
    }
}

void RecipeTest::hasTheNumbersOfTheReference()
{
    QVERIFY(named_recipe("default") == Recipe{});
    const Recipe best = named_recipe("best");
    QCOMPARE(best.iters, int64_t{1000});
    QCOMPARE(best.nsamples, int64_t{512});
    const Recipe light = named_recipe("light");
    QCOMPARE(light.iters, int64_t{50});
    QCOMPARE(light.lr.value(), 0.005);
    const Recipe fast = named_recipe("fast");
    QCOMPARE(fast.batch_size, int64_t{4});
    QCOMPARE(fast.seqlen, int64_t{512});
    QCOMPARE(named_recipe("rtn").nsamples, int64_t{0});
    QCOMPARE(named_recipe("rtn").iters, int64_t{0});
    const Recipe searched = named_recipe("opt_rtn");
    QVERIFY(searched.objective == Objective::Mse);
    QVERIFY(searched.smoothing == Smoothing::Auto);
}

void RecipeTest::algorithmsChangeStepsAndStart()
{
    Recipe recipe = named_recipe("light");
    apply_algorithm(recipe, "signround");
    QVERIFY(recipe == named_recipe("light"));
    apply_algorithm(recipe, "gptq");
    QCOMPARE(recipe.iters, int64_t{0});
    QVERIFY(recipe.start == Start::Compensated);
    QCOMPARE(recipe.seqlen, named_recipe("light").seqlen);
    QVERIFY(recipe.smoothing == Smoothing::Off);
    apply_algorithm(recipe, "opt_rtn");
    QVERIFY(recipe.smoothing == Smoothing::Auto);
    QVERIFY(recipe.objective == Objective::Mse);
    apply_algorithm(recipe, "rtn");
    QCOMPARE(recipe.nsamples, int64_t{0});
    apply_algorithm(recipe, "signround");
    QCOMPARE(recipe.iters, Recipe{}.iters);
    QCOMPARE(recipe.nsamples, Recipe{}.nsamples);
    EXPECT_ERROR(InvalidSpec, EXPECT_WORDS({"gptk", "gptq"}), apply_algorithm(recipe, "gptk"));
    for (const NamedItem& item : algorithm_catalog()) {
        apply_algorithm(recipe, item.id);
    }
}

void RecipeTest::namesTheNearestRecipeInErrors()
{
    try {
        named_recipe("lihgt");
        QFAIL("accepted");
    } catch (const Error& error) {
        QCOMPARE(error.code(), ErrorCode::InvalidSpec);
        QVERIFY2(error.hint().find("light") != std::string::npos, error.what());
    }
}

void RecipeTest::referenceModeSetsEveryDifference()
{
    JobSpec spec;
    spec.recipe.objective = Objective::Fisher;
    apply_reference_mode(spec);
    QCOMPARE(spec.recipe.objective, Objective::Mse);
    QCOMPARE(spec.recipe.selection, Selection::Minibatch);
    QVERIFY(spec.recipe.mimic_reference);
    QCOMPARE(spec.calibration.packing, Packing::Filtered);
    QCOMPARE(spec.calibration.prefix, CalibrationPrefix::None);
    QCOMPARE(spec.calibration.holdout, 0.0);
}

BITSMITH_TEST(RecipeTest)
#include "recipe_test.moc"
