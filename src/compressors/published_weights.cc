// SPDX-License-Identifier: Apache-2.0
#include "compressors/published_weights.h"

#include "base/check.h"
#include "io/safetensors_weights.h"

namespace precis {
namespace {

namespace fs = std::filesystem;

constexpr const char* kPickleEndings[] = {".pt", ".pth", ".bin"};

bool is_there(const fs::path& path) {
  std::error_code ignored;  // a file that cannot be accessed counts as missing
  return fs::exists(path, ignored);
}

bool is_folder(const fs::path& path) {
  std::error_code ignored;
  return fs::is_directory(path, ignored);
}

bool has_pickle_ending(const fs::path& path) {
  for (const char* ending : kPickleEndings) {
    if (path.extension() == ending) return true;
  }
  return false;
}

[[noreturn]] void fail_pickled(const fs::path& pickle, const std::string& written) {
  fail(ErrorKind::kUnsupported,
       pickle.string(),
       ": pickles are not read; run third_party/unpickle.py on it, which writes ",
       written);
}

bool holds_pickled_model(const fs::path& directory) {
  std::error_code ignored;
  for (const fs::directory_entry& entry : fs::directory_iterator(directory, ignored)) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with("pytorch_model") && name.ends_with(".bin")) return true;
  }
  return false;
}

void refuse_pickled_directory(const fs::path& directory) {
  for (const char* readable : {"model.safetensors", "model.safetensors.index.json"}) {
    if (is_there(directory / readable)) return;
  }
  if (holds_pickled_model(directory)) fail_pickled(directory, "model*.safetensors into it");
}

void refuse_pickled_file(const fs::path& file) {
  const auto converted = [](fs::path pickle) {
    return pickle.replace_extension(".safetensors").filename().string();
  };
  if (is_there(file)) {
    if (has_pickle_ending(file)) fail_pickled(file, converted(file));
    return;
  }
  for (const char* ending : kPickleEndings) {
    const fs::path pickle = fs::path(file).replace_extension(ending);
    if (is_there(pickle)) fail_pickled(pickle, converted(pickle));
  }
}

}  // namespace

void refuse_pickles(const fs::path& source) {
  if (is_folder(source)) {
    refuse_pickled_directory(source);
  } else {
    refuse_pickled_file(source);
  }
}

std::shared_ptr<const WeightSource> published_weights(const fs::path& source) {
  refuse_pickles(source);
  return is_folder(source) ? safetensors_weights(source) : safetensors_file_weights(source);
}

}  // namespace precis
