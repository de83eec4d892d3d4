// libtorch's functorch headers mention this library in inline functions that save an interpreter as text. jorch never
// calls them and the wheel does not ship the library, so these declarations, defined nowhere, are all that is needed.
#pragma once

#include <string>

namespace nlohmann {

struct json {
  json();
  template <class T>
  json(const T&);
  std::string dump() const;
  static json parse(const std::string&);
  template <class T>
  T get() const;
};

}  // namespace nlohmann
