# SPDX-License-Identifier: GPL-3.0-or-later
# Shows that check_includes.cmake can fail: writes small trees and runs it on each.
#
#     cmake -DCHECK=<check_includes.cmake> -DSCRATCH=<folder> -P catches_violations.cmake
cmake_minimum_required(VERSION 3.22)

function(run_check file line expected)
    file(REMOVE_RECURSE "${SCRATCH}")
    file(WRITE "${SCRATCH}/${file}" "${line}\n")
    execute_process(COMMAND "${CMAKE_COMMAND}" "-DROOT=${SCRATCH}" -P "${CHECK}"
        RESULT_VARIABLE status OUTPUT_VARIABLE output ERROR_VARIABLE output)
    if(expected STREQUAL "allowed" AND NOT status EQUAL 0)
        message(SEND_ERROR "${file} with '${line}' was refused:\n${output}")
    elseif(expected STREQUAL "forbidden" AND (status EQUAL 0 OR NOT output MATCHES "${file}"))
        message(SEND_ERROR "${file} with '${line}' was not refused by name:\n${output}")
    endif()
endfunction()

run_check(core/include/bitsmith/a.h "#include <vector>" allowed)
run_check(core/include/bitsmith/a.h "#include <bitsmith/b.h>" allowed)
run_check(core/include/bitsmith/a.h "#include <nlohmann/json.hpp>" forbidden)
run_check(core/include/bitsmith/a.h "#include \"base/text.h\"" forbidden)
run_check(core/src/base/a.cpp "#include <bitsmith/error.h>" allowed)
run_check(core/src/base/a.cpp "#include \"tensor/dtype.h\"" forbidden)
run_check(core/src/quant/a.cpp "  #  include \"tensor/dtype.h\"" allowed)
run_check(core/src/quant/a.cpp "#include \"model/linear.h\"" forbidden)
run_check(core/src/tune/a.cpp "#include \"plan/rules.h\"" forbidden)
run_check(core/src/export/gguf/a.cpp "#include \"source/model_source.h\"" allowed)
run_check(core/src/source/a.cpp "#include \"export/exporter.h\"" forbidden)
run_check(core/src/run/a.cpp "#include \"export/exporter.h\"" allowed)
run_check(core/src/run/a.cpp "#include <QString>" forbidden)
run_check(core/src/run/a.cpp "#include \"support/temp_folder.h\"" forbidden)
run_check(widgets/pages/a.cpp "#include <bitsmith/check.h>" allowed)
run_check(widgets/pages/a.cpp "#include <bitsmith/job.h>" forbidden)
run_check(widgets/pages/a.cpp "#include <ATen/ATen.h>" forbidden)
run_check(widgets/pages/a.cpp "#include \"quant/codec.h\"" forbidden)
run_check(app/gui/a.cpp "#include <bitsmith/job.h>" allowed)
run_check(app/cli/a.cpp "#include <QCoreApplication>" forbidden)
file(REMOVE_RECURSE "${SCRATCH}")
