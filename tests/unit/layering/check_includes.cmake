# SPDX-License-Identifier: GPL-3.0-or-later
# Fails when an #include points in a forbidden direction (the rules: core/README.md, tests/README.md).
#
#     cmake -DROOT=<source tree> -P check_includes.cmake
#
# Needed because target visibility does not see everything: LibTorch and Qt lie in system folders.
cmake_minimum_required(VERSION 3.22)

# Engine folders and what each may include besides itself.
set(uses_base "")
set(uses_values base)
set(uses_tensor ${uses_values} values)
set(uses_hf ${uses_tensor} tensor)
set(uses_quant ${uses_hf})
set(uses_model ${uses_hf})
set(uses_arch ${uses_hf} hf quant model)
set(uses_source ${uses_arch} arch)
set(uses_calib ${uses_source} source)
set(uses_tune ${uses_calib} calib)
set(uses_plan ${uses_tune})
set(uses_eval ${uses_tune})
set(uses_export ${uses_tune} tune plan eval)
set(uses_run ${uses_export} export)
set(engine base values tensor hf quant model arch source calib tune plan eval export run)

set(n_findings 0)

macro(report file included rule)
    math(EXPR n_findings "${n_findings} + 1")
    message("${file}: #include ${included}: ${rule}")
endmacro()

# Sets <out_names> to the included names of a file, those in quotes with a leading quote.
function(read_includes file out_names)
    file(STRINGS "${file}" lines REGEX "^[ \t]*#[ \t]*include[ \t]*[<\"]")
    set(names "")
    foreach(line IN LISTS lines)
        if(line MATCHES "include[ \t]*<([^>]+)>")
            list(APPEND names "${CMAKE_MATCH_1}")
        elseif(line MATCHES "include[ \t]*\"([^\"]+)\"")
            list(APPEND names "\"${CMAKE_MATCH_1}")
        endif()
    endforeach()
    set(${out_names} "${names}" PARENT_SCOPE)
endfunction()

function(list_sources folder out_files)
    file(GLOB_RECURSE files RELATIVE "${ROOT}"
        "${ROOT}/${folder}/*.h" "${ROOT}/${folder}/*.cpp" "${ROOT}/${folder}/*.h.in")
    set(${out_files} "${files}" PARENT_SCOPE)
endfunction()

set(is_qt "^(Q[A-Z]|Qt|qcustomplot|q[a-z]+\\.h)")
set(is_library "^(ATen|c10|torch|nlohmann)/")

# 1. The front: the standard library and itself.
list_sources(core/include files)
foreach(file IN LISTS files)
    read_includes("${ROOT}/${file}" names)
    foreach(name IN LISTS names)
        if(NOT name MATCHES "^bitsmith/" AND NOT name MATCHES "^[a-z_0-9]+$")
            report(${file} ${name} "the front includes the standard library and <bitsmith/...> only")
        endif()
    endforeach()
endforeach()

# 2. The engine: no Qt, folders to the left only.
foreach(folder IN LISTS engine)
    list_sources(core/src/${folder} files)
    foreach(file IN LISTS files)
        read_includes("${ROOT}/${file}" names)
        foreach(name IN LISTS names)
            if(name MATCHES "${is_qt}")
                report(${file} ${name} "the core has no Qt")
            elseif(name MATCHES "^\"([^/]+)/")
                set(target "${CMAKE_MATCH_1}")
                if(NOT target STREQUAL folder AND NOT target IN_LIST uses_${folder})
                    report(${file} ${name} "${folder} may include ${folder} ${uses_${folder}}")
                endif()
            endif()
        endforeach()
    endforeach()
endforeach()

# 3. Widgets and programs: the front only; job.h belongs to the programs; the command line has no Qt.
string(REPLACE ";" "|" engine_names "${engine}")
foreach(folder IN ITEMS widgets app/gui app/cli)
    list_sources(${folder} files)
    foreach(file IN LISTS files)
        read_includes("${ROOT}/${file}" names)
        foreach(name IN LISTS names)
            if(name MATCHES "^\"(${engine_names})/" OR name MATCHES "core/src")
                report(${file} ${name} "the engine is reached through <bitsmith/...>")
            elseif(name MATCHES "${is_library}")
                report(${file} ${name} "tensor and JSON types stay inside the core")
            elseif(folder STREQUAL "widgets" AND name MATCHES "bitsmith/job\\.h")
                report(${file} ${name} "no page runs a job; app/gui does")
            elseif(folder STREQUAL "app/cli" AND name MATCHES "${is_qt}")
                report(${file} ${name} "the command line program has no Qt")
            endif()
        endforeach()
    endforeach()
endforeach()

# 4. Nobody includes tests.
foreach(folder IN ITEMS core widgets app)
    list_sources(${folder} files)
    foreach(file IN LISTS files)
        read_includes("${ROOT}/${file}" names)
        foreach(name IN LISTS names)
            if(name MATCHES "^\"(support|tests)/")
                report(${file} ${name} "nobody includes tests")
            endif()
        endforeach()
    endforeach()
endforeach()

if(n_findings GREATER 0)
    message(FATAL_ERROR "${n_findings} includes in a forbidden direction")
endif()
