// SPDX-License-Identifier: GPL-3.0-or-later
#include "widgets/text/error_text.h"

#include <QCoreApplication>

namespace bitsmith::ui {

namespace {

struct Texts
{
    const char* title;
    const char* advice;
};

#define BITSMITH_TEXT(text) QT_TRANSLATE_NOOP("errors", text)

Texts textsOf(ErrorCode code)
{
    switch (code) {
    case ErrorCode::InvalidSpec:
        return {BITSMITH_TEXT("The job cannot be run as asked"),
            BITSMITH_TEXT("Change the named setting and start again.")};
    case ErrorCode::FileNotFound:
        return {BITSMITH_TEXT("A file is missing"),
            BITSMITH_TEXT("Check the path, or fetch the model again.")};
    case ErrorCode::FileCorrupt:
        return {BITSMITH_TEXT("A file is damaged"),
            BITSMITH_TEXT("Fetch the named file again; finished blocks are kept.")};
    case ErrorCode::UnsupportedModel:
        return {BITSMITH_TEXT("This kind of model is not supported yet"),
            BITSMITH_TEXT("The details name the architecture and what is supported.")};
    case ErrorCode::UnsupportedScheme:
        return {BITSMITH_TEXT("This number format is not supported here"),
            BITSMITH_TEXT("Choose another scheme.")};
    case ErrorCode::UnsupportedFormat:
        return {BITSMITH_TEXT("The output format cannot hold this scheme"),
            BITSMITH_TEXT("Choose another format or another scheme.")};
    case ErrorCode::MissingTensor:
        return {BITSMITH_TEXT("The model lacks a tensor"),
            BITSMITH_TEXT("The files may be incomplete; fetch the model again.")};
    case ErrorCode::ShapeMismatch:
        return {BITSMITH_TEXT("A tensor has an unexpected shape"),
            BITSMITH_TEXT("The files do not match the model's configuration.")};
    case ErrorCode::OutOfMemory:
        return {BITSMITH_TEXT("Not enough memory"),
            BITSMITH_TEXT(
                "Finished blocks are saved. Use fewer samples per step or shorter samples.")};
    case ErrorCode::DeviceUnavailable:
        return {BITSMITH_TEXT("The device cannot be used"),
            BITSMITH_TEXT("Finished blocks are saved. Choose another device.")};
    case ErrorCode::NumericFailure:
        return {BITSMITH_TEXT("The loss became invalid"),
            BITSMITH_TEXT("Finished blocks are saved. Try a lower learning rate.")};
    case ErrorCode::WriteFailed:
        return {BITSMITH_TEXT("The result could not be written"),
            BITSMITH_TEXT("Nothing half-written was left. Free space or choose another folder, "
                          "then resume.")};
    case ErrorCode::Internal:
        break;
    }
    return {BITSMITH_TEXT("Something unexpected happened"),
        BITSMITH_TEXT("Finished blocks are saved. The details help to report it.")};
}

#undef BITSMITH_TEXT

} // namespace

QString errorTitle(ErrorCode code)
{
    return QCoreApplication::translate("errors", textsOf(code).title);
}

QString errorAdvice(ErrorCode code)
{
    return QCoreApplication::translate("errors", textsOf(code).advice);
}

QString severityText(Severity severity)
{
    switch (severity) {
    case Severity::Error:
        return QCoreApplication::translate("errors", "Error");
    case Severity::Warning:
        return QCoreApplication::translate("errors", "Warning");
    case Severity::Info:
        break;
    }
    return QCoreApplication::translate("errors", "Note");
}

} // namespace bitsmith::ui
