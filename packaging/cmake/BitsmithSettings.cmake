# SPDX-License-Identifier: GPL-3.0-or-later
# bitsmith_settings carries the language level, warnings and definitions of every target of ours.
add_library(bitsmith_settings INTERFACE)
target_compile_features(bitsmith_settings INTERFACE cxx_std_20)
target_compile_options(bitsmith_settings INTERFACE
    -Wall -Wextra -Wpedantic -Wnon-virtual-dtor -Woverloaded-virtual -Wcast-qual
    $<$<BOOL:${BITSMITH_WERROR}>:-Werror>)
foreach(sanitizer IN LISTS BITSMITH_SANITIZE)
    target_compile_options(bitsmith_settings INTERFACE -fsanitize=${sanitizer} -fno-omit-frame-pointer)
    target_link_options(bitsmith_settings INTERFACE -fsanitize=${sanitizer})
endforeach()
if(BITSMITH_SANITIZE)
    # A finding ends the test; by default undefined behaviour is only printed.
    target_compile_options(bitsmith_settings INTERFACE -fno-sanitize-recover=all)
endif()

add_library(bitsmith_qt_settings INTERFACE)
target_link_libraries(bitsmith_qt_settings INTERFACE bitsmith_settings)
target_compile_definitions(bitsmith_qt_settings INTERFACE
    QT_NO_CAST_FROM_ASCII QT_NO_CAST_TO_ASCII QT_NO_CONTEXTLESS_CONNECT
    QT_NO_NARROWING_CONVERSIONS_IN_CONNECT QT_STRICT_ITERATORS QT_USE_QSTRINGBUILDER
    QT_DISABLE_DEPRECATED_BEFORE=0x060400)

set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
# Line tables only: full debug information of LibTorch templates triples build time and link memory.
set(CMAKE_CXX_FLAGS_RELWITHDEBINFO "-O2 -g1")
if(BITSMITH_SANITIZE)
    # Sanitized code compiles in two thirds of the time this way, which is most of what CI waits for.
    set(CMAKE_CXX_FLAGS_RELWITHDEBINFO "-O1 -g1")
endif()

find_program(BITSMITH_CCACHE ccache)
if(BITSMITH_CCACHE)
    # The precompiled header carries a time stamp that ccache has to look past.
    set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env
        CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime
        CCACHE_BASEDIR=${PROJECT_SOURCE_DIR} ${BITSMITH_CCACHE})
endif()
find_program(BITSMITH_MOLD mold)
if(BITSMITH_MOLD)
    add_link_options(-fuse-ld=mold)
endif()
