// SPDX-License-Identifier: GPL-3.0-or-later
#include "calib/prompt_table.h"

#include <array>

namespace bitsmith::calib {

namespace {

constexpr std::array<std::string_view, 64> kPrompts = {
    "Explain why the sky is blue to a ten year old.",
    "Write a short story about a lighthouse keeper who finds a message in a bottle.",
    "Write a Python function that checks whether a string is a palindrome, with a short "
    "explanation.",
    "A train travels 180 km in 2.5 hours. What is its average speed? Show each step.",
    "Summarise how vaccines work in one paragraph.",
    "Give me a recipe for a vegetable soup for four people.",
    "Write a polite email asking a landlord to repair a broken heater.",
    "What were the main causes of the First World War?",
    "Describe the water cycle.",
    "Compare cats and dogs as pets for someone living in a small flat.",
    "Write a C function that reverses a linked list.",
    "Explain the difference between a virus and a bacterium.",
    "Plan a three day trip to Rome for a family with two children.",
    "What is compound interest? Give an example with numbers.",
    "Write a dialogue between a customer and a shop assistant about returning a jacket.",
    "List ten tips for sleeping better.",
    "Explain how a refrigerator keeps food cold.",
    "Write a poem about the first snow of winter.",
    "Traduis en français : The library opens at nine and closes at six.",
    "Erkläre in drei Sätzen, was Photosynthese ist.",
    "Escribe una carta corta a un amigo contando tus vacaciones.",
    "Write a SQL query that returns the five customers with the highest total orders.",
    "What is the difference between weather and climate?",
    "Solve for x: 3x + 7 = 2x - 5. Explain each step.",
    "Describe a busy market in the morning using all five senses.",
    "Who was Marie Curie and what did she discover?",
    "How does a search engine decide which pages to show first?",
    "Write a shell script that renames all .txt files in a folder to .md.",
    "Give arguments for and against working from home.",
    "Explain what a hash table is and when to use one.",
    "Write the opening of a detective novel set in a small harbour town.",
    "What should I check before buying a used car?",
    "Explain supply and demand with the example of umbrellas.",
    "Write a product description for a stainless steel water bottle.",
    "How do bees make honey?",
    "Rewrite this sentence in a formal style: We can't make it to the meeting, sorry!",
    "What is the capital of Australia, and why is it not Sydney?",
    "Write a JSON document describing a book with title, author, year and three chapters.",
    "Explain Newton's three laws of motion with everyday examples.",
    "Write a motivational speech for a school sports team that lost its last game.",
    "How do I set up a simple budget for a month?",
    "Write a JavaScript function that removes duplicates from an array.",
    "What happens during a solar eclipse?",
    "Describe the plot of a film about a robot that learns to paint.",
    "Explain the rules of chess to a beginner.",
    "A shop offers 20% off a 45 euro shirt and then another 10% off. What is the final price?",
    "What are the benefits and risks of nuclear power?",
    "Write a diary entry of an astronaut on the first day on Mars.",
    "Explain recursion with an example.",
    "List the steps to change a bicycle tyre.",
    "What is democracy, and how do different countries practise it?",
    "Write a short news report about the opening of a new bridge.",
    "How does the human heart work?",
    "Write a regular expression that matches an email address and explain its parts.",
    "Give five ideas for a birthday present for a grandfather who likes gardening.",
    "Explain the difference between RAM and disk storage.",
    "Write a scene in which two old friends meet by chance at a railway station.",
    "Describe how mountains are formed.",
    "What does it mean when a statistic is significant?",
    "Write a thank you note to a teacher.",
    "How do noise cancelling headphones work?",
    "Explain what an API is to someone who does not program.",
    "Classify these words as nouns, verbs or adjectives: run, green, table, quickly, sing, tall.",
    "Continue the story: When the lights came back on, the chair was empty.",
};

} // namespace

std::span<const std::string_view> self_prompts()
{
    return kPrompts;
}

} // namespace bitsmith::calib
