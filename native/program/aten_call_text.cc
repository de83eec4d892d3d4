/** @file Parsing ATen calls: the writer knows values, the schema knows types. */
#include "aten_call_text.h"

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstdlib>
#include <string>

namespace jorch::program {
namespace {

constexpr struct {
  const char* name;
  c10::ScalarType dtype;
} kDtypes[] = {
    {"float32", c10::ScalarType::Float}, {"float64", c10::ScalarType::Double}, {"float16", c10::ScalarType::Half},
    {"bfloat16", c10::ScalarType::BFloat16}, {"int8", c10::ScalarType::Char}, {"int16", c10::ScalarType::Short},
    {"int32", c10::ScalarType::Int}, {"int64", c10::ScalarType::Long}, {"uint8", c10::ScalarType::Byte},
    {"uint16", c10::ScalarType::UInt16}, {"uint32", c10::ScalarType::UInt32}, {"uint64", c10::ScalarType::UInt64},
    {"bool", c10::ScalarType::Bool}, {"complex64", c10::ScalarType::ComplexFloat},
    {"complex128", c10::ScalarType::ComplexDouble},
};

/** Parses one call text. Positions in errors are by argument, which is what the writer of the text knows. */
class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) {}

  std::shared_ptr<const AtenCall> parse() {
    const size_t arrow = text_.rfind("->");
    TORCH_CHECK(arrow != std::string_view::npos, "jorch_aten: no '->' in '", text_, "'");
    std::vector<std::string_view> fields = split(text_.substr(0, arrow), '|');
    const std::string_view name = fields.front();
    fields.erase(fields.begin());
    if (!fields.empty() && fields.back().empty()) fields.pop_back();

    const size_t dot = name.find('.');
    const auto op = c10::Dispatcher::singleton().findSchema(
        {std::string(name.substr(0, dot)), dot == std::string_view::npos ? "" : std::string(name.substr(dot + 1))});
    TORCH_CHECK(op.has_value(), "jorch_aten: libtorch has no operator ", name);

    call_ = std::make_shared<AtenCall>(*op);
    call_->convolves = name.find("convolution") != std::string_view::npos;
    call_->lends = call_->convolves || name.find("batch_norm") != std::string_view::npos;
    const auto& arguments = op->schema().arguments();
    TORCH_CHECK(fields.size() == arguments.size(), "jorch_aten: ", name, " takes ", arguments.size(), " arguments, the call has ",
                fields.size());
    for (size_t i = 0; i < fields.size(); i++) {
      field_ = fields[i];
      argument_ = &arguments[i];
      call_->stack.push_back(value(i));
    }
    std::vector<std::string_view> parts = split(text_.substr(arrow + 2), '&');
    const std::string_view results = parts.front();
    if (!results.empty())
      for (std::string_view out : split(results, ';')) call_->outs.push_back(parseOut(out));
    for (size_t i = 1; i < parts.size(); i++) {
      call_->steps.push_back(parseStep(parts[i]));
      call_->operands += call_->steps.back().operands();
    }
    TORCH_CHECK(call_->steps.empty() || (call_->convolves && call_->outs.size() == 1 && call_->slots.size() >= 2 && call_->outs[0].sizes.size() >= 2),
                "jorch_aten: ", name, " is no convolution of images, nothing can be done to its result");
    return call_;
  }

 private:
  static std::vector<std::string_view> split(std::string_view text, char separator) {
    std::vector<std::string_view> parts;
    for (size_t at = 0;;) {
      const size_t end = text.find(separator, at);
      parts.push_back(text.substr(at, end == std::string_view::npos ? end : end - at));
      if (end == std::string_view::npos) return parts;
      at = end + 1;
    }
  }

  template <class... Why>
  [[noreturn]] void bad(const Why&... why) const {
    TORCH_CHECK(false, "jorch_aten: ", call_->op.operator_name(), ", argument '", argument_->name(), "': ", why..., " in '", field_, "'");
  }

  int64_t toInt(std::string_view text) const {
    const std::string s(text);
    char* end = nullptr;
    errno = 0;
    const long long v = std::strtoll(s.c_str(), &end, 10);
    if (s.empty() || *end != '\0' || errno == ERANGE) bad("not an integer: '", text, "'");
    return v;
  }
  double toDouble(std::string_view text) const {
    const std::string s(text);
    char* end = nullptr;
    const double v = std::strtod(s.c_str(), &end);  // takes inf, -inf and nan as well
    if (s.empty() || *end != '\0') bad("not a number: '", text, "'");
    return v;
  }
  std::vector<std::string_view> elements() const {
    if (field_.size() < 3 || field_[1] != '[' || field_.back() != ']') bad("expected [a,b,…]");
    const std::string_view inside = field_.substr(2, field_.size() - 3);
    return inside.empty() ? std::vector<std::string_view>{} : split(inside, ',');
  }
  std::string decode(std::string_view text) const {
    std::string out;
    for (size_t i = 0; i < text.size(); i++) {
      if (text[i] != '%') {
        out.push_back(text[i]);
        continue;
      }
      if (i + 2 >= text.size()) bad("cut percent escape");
      out.push_back(static_cast<char>(std::strtol(std::string(text.substr(i + 1, 2)).c_str(), nullptr, 16)));
      i += 2;
    }
    return out;
  }

  c10::TypePtr type() const {
    c10::TypePtr t = argument_->real_type();
    if (auto optional = t->cast<c10::OptionalType>()) t = optional->getElementType();
    return t;
  }
  c10::TypeKind elementKind() const {
    if (auto list = type()->cast<c10::ListType>()) return list->getElementType()->kind();
    bad("a list for ", type()->str());
  }

  // The writer of the text may only know "a list of numbers", and an empty list has no type at all: the schema decides.
  c10::IValue list(char letter) const {
    const auto items = elements();
    const c10::TypeKind kind = elementKind();
    if (kind == c10::TypeKind::BoolType) {
      c10::List<bool> out;
      for (auto item : items) out.push_back(toInt(item) != 0);
      return out;
    }
    if (kind == c10::TypeKind::FloatType) {
      c10::List<double> out;
      for (auto item : items) out.push_back(toDouble(item));
      return out;
    }
    if (kind == c10::TypeKind::IntType || kind == c10::TypeKind::SymIntType) {
      c10::List<int64_t> out;
      for (auto item : items) out.push_back(toInt(item));
      return out;
    }
    if (kind == c10::TypeKind::NumberType) {
      c10::List<at::Scalar> out;
      for (auto item : items) out.push_back(letter == 'F' ? at::Scalar(toDouble(item)) : at::Scalar(toInt(item)));
      return out;
    }
    if (items.empty() && kind == c10::TypeKind::TensorType) return c10::List<at::Tensor>();
    if (items.empty() && kind == c10::TypeKind::OptionalType) return c10::List<std::optional<at::Tensor>>();
    bad("a list of numbers for ", type()->str());
  }

  c10::IValue memoryFormat(std::string_view name) const {
    if (name == "contiguous_format") return static_cast<int64_t>(c10::MemoryFormat::Contiguous);
    if (name == "preserve_format") return static_cast<int64_t>(c10::MemoryFormat::Preserve);
    if (name == "channels_last") return static_cast<int64_t>(c10::MemoryFormat::ChannelsLast);
    if (name == "channels_last_3d") return static_cast<int64_t>(c10::MemoryFormat::ChannelsLast3d);
    bad("no memory format");
  }

  // Boxed calls spell "no tensor" in two ways, by whether the schema says Tensor? or Tensor.
  c10::IValue none() const {
    switch (argument_->type()->kind()) {
      case c10::TypeKind::TensorType: return at::Tensor();
      case c10::TypeKind::DeviceObjType: return c10::Device(c10::kCPU);
      default: return c10::IValue();
    }
  }

  c10::IValue tensor(size_t argument) {
    const std::string_view rest = field_.substr(1);
    if (rest == "?") return none();
    const bool one = rest.empty() || rest == "c" || rest == "t";
    AtenCall::Slot slot{argument, AtenCall::Operand::One, {}};
    if (one && !rest.empty()) slot.order = rest == "c" ? AtenCall::Order::ChannelsLast : AtenCall::Order::Transposed;
    // A Tensor?[] with every element present looks like a Tensor[]: the schema tells them apart.
    if (!one)
      slot.kind = elementKind() == c10::TypeKind::OptionalType ? AtenCall::Operand::OptionalList : AtenCall::Operand::List;
    if (one) {
      call_->operands++;
    } else if (rest[0] == 'L') {
      const int64_t count = toInt(rest.substr(1));
      if (count < 0 || count > 1 << 20) bad("not a count of operands");
      slot.present.assign(static_cast<size_t>(count), true);
      call_->operands += static_cast<size_t>(count);
    } else if (rest[0] == 'O') {
      for (char c : rest.substr(1)) {
        if (c != '1' && slot.kind == AtenCall::Operand::List) bad("an undefined tensor in a Tensor[]");
        slot.present.push_back(c == '1');
        call_->operands += c == '1';
      }
    } else {
      bad("expected T, Tc, Tt, T?, TL<n> or TO<mask>");
    }
    call_->slots.push_back(std::move(slot));
    return c10::IValue();
  }

  // Writers know a number, the schema knows of which type: `i1` may be meant for a bool or a float, `f2` for an int.
  c10::IValue number(c10::TypeKind kind, std::string_view rest) const {
    const char letter = field_[0];
    switch (kind) {
      case c10::TypeKind::BoolType: return toDouble(rest) != 0;
      case c10::TypeKind::FloatType: return toDouble(rest);
      case c10::TypeKind::NumberType:  // a Scalar: here the letter is the dtype category, and it matters
        if (letter == 'b') return toInt(rest) != 0;
        return letter == 'f' ? c10::IValue(toDouble(rest)) : c10::IValue(toInt(rest));
      default: break;
    }
    if (letter != 'f') return toInt(rest);
    const double value = toDouble(rest);
    if (value != std::trunc(value) || std::abs(value) > 0x1p62) bad("not an integer: '", rest, "'");
    return static_cast<int64_t>(value);
  }

  c10::IValue value(size_t argument) {
    if (field_.empty()) bad("empty field");
    const std::string_view rest = field_.substr(1);
    const c10::TypeKind kind = type()->kind();
    switch (field_[0]) {
      case 'T': return tensor(argument);
      case 'N': return none();
      case 'b':
      case 'i':
      case 'f': return number(kind, rest);
      case 'c': {
        const auto parts = split(rest, ',');
        if (parts.size() != 2) bad("expected c<re>,<im>");
        return c10::IValue(c10::complex<double>(toDouble(parts[0]), toDouble(parts[1])));
      }
      case 'I':
      case 'F':
      case 'B': return list(field_[0]);
      case 's': return decode(rest);
      case 'd': return static_cast<int64_t>(dtypeByName(rest));
      case 'm': return memoryFormat(rest);
      default: bad("unknown kind of field");
    }
  }

  AtenCall::Step parseStep(std::string_view text) {
    using Kind = AtenCall::Step::Kind;
    const char letter = text.empty() ? '?' : text[0];
    std::string_view rest = text.substr(std::min<size_t>(1, text.size()));
    const auto number = [&] {
      const std::string s(rest);
      char* end = nullptr;
      const double v = std::strtod(s.c_str(), &end);
      TORCH_CHECK(!s.empty() && *end == '\0', "jorch_aten: bad number in the step '", text, "'");
      return v;
    };
    switch (letter) {
      case '+': return {Kind::Add};
      case 'm': return {Kind::Average};
      case 'l': return {Kind::AtLeast, number()};
      case 'u': return {Kind::AtMost, number()};
      case 'n': {
        TORCH_CHECK(rest.size() > 3 && rest[2] == ',', "jorch_aten: bad step '", text, "'");
        AtenCall::Step step{Kind::Normalise, 0, rest[0] == '1', rest[1] == '1'};
        rest.remove_prefix(3);
        step.number = number();
        return step;
      }
      default: TORCH_CHECK(false, "jorch_aten: unknown step '", text, "'");
    }
  }

  static AtenCall::Out parseOut(std::string_view text) {
    if (text == "-") return {false, c10::ScalarType::Undefined, {}, {}};
    const auto between = [&](char left, char right) {
      const size_t open = text.find(left), close = text.find(right);
      TORCH_CHECK(open != std::string_view::npos && close != std::string_view::npos && open < close, "jorch_aten: bad result '", text, "'");
      std::vector<int64_t> numbers;
      if (close > open + 1)
        for (auto n : split(text.substr(open + 1, close - open - 1), ',')) numbers.push_back(std::strtoll(std::string(n).c_str(), nullptr, 10));
      return numbers;
    };
    AtenCall::Out out{true, dtypeByName(text.substr(0, text.find('['))), between('[', ']'), between('{', '}')};
    std::string_view rest = text.substr(text.find('}') + 1);
    out.transposed = rest.substr(0, 1) == "t";
    if (out.transposed) rest.remove_prefix(1);
    if (rest.substr(0, 1) == "n") out.flag = std::strtoll(std::string(rest.substr(1)).c_str(), nullptr, 10);
    TORCH_CHECK(out.sizes.size() == out.strides.size(), "jorch_aten: bad result '", text, "'");
    return out;
  }

  std::string_view text_, field_;
  const c10::Argument* argument_ = nullptr;
  std::shared_ptr<AtenCall> call_;
};

}  // namespace

std::shared_ptr<const AtenCall> parseAtenCall(std::string_view text) { return Parser(text).parse(); }

c10::ScalarType dtypeByName(std::string_view name) {
  for (const auto& d : kDtypes)
    if (name == d.name) return d.dtype;
  TORCH_CHECK(false, "jorch: no dtype is named '", name, "'");
}

}  // namespace jorch::program
