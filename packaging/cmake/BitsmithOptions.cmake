# SPDX-License-Identifier: GPL-3.0-or-later
# Build options, each listed in the feature summary.
function(bitsmith_option name default text)
    option(${name} "${text}" ${default})
    add_feature_info(${name} ${name} "${text}")
endfunction()

bitsmith_option(BITSMITH_BUILD_GUI ON "desktop program (Qt 6 Widgets, QCustomPlot)")
bitsmith_option(BITSMITH_BUILD_CLI ON "command line program")
bitsmith_option(BITSMITH_BUILD_TESTS ${PROJECT_IS_TOP_LEVEL} "tests")
bitsmith_option(BITSMITH_BUILD_BENCH OFF "timing programs in tests/bench")
bitsmith_option(BITSMITH_BUILD_FUZZ OFF "fuzz targets in tests/fuzz (clang)")
bitsmith_option(BITSMITH_WERROR OFF "treat warnings as errors")
bitsmith_option(BITSMITH_PCH ON "precompiled headers")

set(BITSMITH_SANITIZE "" CACHE STRING "sanitizers for our code, for example address;undefined")

if(BITSMITH_BUILD_FUZZ)
    if(NOT CMAKE_CXX_COMPILER_ID MATCHES "Clang")
        message(FATAL_ERROR "BITSMITH_BUILD_FUZZ needs clang (-DCMAKE_CXX_COMPILER=clang++-14)")
    endif()
    set(BITSMITH_SANITIZE "address;undefined;fuzzer-no-link")
endif()
