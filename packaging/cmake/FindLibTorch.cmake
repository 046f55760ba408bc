# SPDX-License-Identifier: GPL-3.0-or-later
# LibTorch without its own package file, which would demand nvcc for a CUDA build of the wheel.
#
# BITSMITH_TORCH_ROOT (variable or environment): a folder that holds include/ and lib/ of LibTorch, or a
# folder that holds torch/. Default: the torch wheel that packaging/setup.sh unpacked into the cache.
# Gives the target bitsmith_torch. CUDA is never linked: the program loads libtorch_cuda.so when present.
set(_roots "")
foreach(_given IN ITEMS "${BITSMITH_TORCH_ROOT}" "$ENV{BITSMITH_TORCH_ROOT}")
    if(_given)
        list(APPEND _roots "${_given}" "${_given}/torch")
    endif()
endforeach()
if(NOT _roots)
    if(DEFINED ENV{BITSMITH_CACHE})
        set(_cache "$ENV{BITSMITH_CACHE}")
    elseif(DEFINED ENV{XDG_CACHE_HOME})
        set(_cache "$ENV{XDG_CACHE_HOME}/bitsmith")
    else()
        set(_cache "$ENV{HOME}/.cache/bitsmith")
    endif()
    file(GLOB _roots "${_cache}/torch-*/torch")
endif()

find_path(LibTorch_INCLUDE_DIR ATen/ATen.h PATHS ${_roots} PATH_SUFFIXES include NO_DEFAULT_PATH)
find_library(LibTorch_CPU_LIBRARY torch_cpu PATHS ${_roots} PATH_SUFFIXES lib NO_DEFAULT_PATH)
find_library(LibTorch_C10_LIBRARY c10 PATHS ${_roots} PATH_SUFFIXES lib NO_DEFAULT_PATH)
if(LibTorch_INCLUDE_DIR)
    file(STRINGS "${LibTorch_INCLUDE_DIR}/torch/headeronly/version.h" _lines
        REGEX "define TORCH_VERSION_(MAJOR|MINOR|PATCH) ")
    string(REGEX REPLACE "[^0-9;]" "" _numbers "${_lines}")
    string(REPLACE ";" "." LibTorch_VERSION "${_numbers}")
endif()

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(LibTorch
    REQUIRED_VARS LibTorch_CPU_LIBRARY LibTorch_C10_LIBRARY LibTorch_INCLUDE_DIR
    VERSION_VAR LibTorch_VERSION
    REASON_FAILURE_MESSAGE "run packaging/setup.sh, or set BITSMITH_TORCH_ROOT to a LibTorch folder")
if(LibTorch_FOUND AND LibTorch_VERSION VERSION_LESS BITSMITH_MIN_TORCH)
    message(FATAL_ERROR "LibTorch ${LibTorch_VERSION} is older than ${BITSMITH_MIN_TORCH}")
endif()

if(LibTorch_FOUND AND NOT TARGET bitsmith_torch)
    get_filename_component(LibTorch_LIBRARY_DIR "${LibTorch_CPU_LIBRARY}" DIRECTORY)
    add_library(bitsmith_torch INTERFACE)
    target_include_directories(bitsmith_torch SYSTEM INTERFACE
        "${LibTorch_INCLUDE_DIR}" "${LibTorch_INCLUDE_DIR}/torch/csrc/api/include")
    target_link_libraries(bitsmith_torch INTERFACE
        "${LibTorch_CPU_LIBRARY}" "${LibTorch_C10_LIBRARY}" Threads::Threads ${CMAKE_DL_LIBS})
    target_link_options(bitsmith_torch INTERFACE
        -Wl,--allow-shlib-undefined "-Wl,-rpath,${LibTorch_LIBRARY_DIR}")
    target_compile_definitions(bitsmith_torch INTERFACE _GLIBCXX_USE_CXX11_ABI=1)
endif()
mark_as_advanced(LibTorch_INCLUDE_DIR LibTorch_CPU_LIBRARY LibTorch_C10_LIBRARY)
