import CHDF5

/// A number that datasets and attributes are read into and written from. HDF5 converts between it
/// and the type in the file: values out of range are clipped, as the library does.
public protocol HDF5Element: BitwiseCopyable, Sendable {
  static var elementType: HDF5ElementType { get }
}

/// The element types of buffers in memory, and of the datasets that this module creates.
public enum HDF5ElementType: Int32, Sendable {
  case uint8 = 0
  case int32, int64, float, double
}

extension UInt8: HDF5Element { public static let elementType = HDF5ElementType.uint8 }
extension Int32: HDF5Element { public static let elementType = HDF5ElementType.int32 }
extension Int64: HDF5Element { public static let elementType = HDF5ElementType.int64 }
extension Float: HDF5Element { public static let elementType = HDF5ElementType.float }
extension Double: HDF5Element { public static let elementType = HDF5ElementType.double }

/// How strings are stored.
public struct HDF5StringType: Hashable, Sendable {
  /// What follows the text of a fixed-length string.
  public enum Padding: Int32, Sendable {
    case nullTerminated = 0
    case nullPadded, spacePadded
  }

  /// Bytes of a fixed-length string; `nil` where every string has its own length.
  public var fixedLength: Int?
  /// Whether the file calls the characters UTF-8; otherwise ASCII.
  public var isUTF8: Bool
  public var padding: Padding

  public init(fixedLength: Int? = nil, isUTF8: Bool = true, padding: Padding = .nullTerminated) {
    precondition(fixedLength.map { $0 > 0 } ?? true, "a fixed-length string has at least 1 byte")
    self.fixedLength = fixedLength
    self.isUTF8 = isUTF8
    self.padding = padding
  }

  /// Variable-length UTF-8.
  public static let variable = HDF5StringType()

  /// The text in `bytes`, without its padding. Invalid UTF-8 is repaired.
  func decode(_ bytes: UnsafeBufferPointer<UInt8>) -> String {
    var end = bytes.count
    switch padding {
    case .nullTerminated: end = bytes.firstIndex(of: 0) ?? end
    case .nullPadded: while end > 0, bytes[end - 1] == 0 { end -= 1 }
    case .spacePadded: while end > 0, bytes[end - 1] == UInt8(ascii: " ") { end -= 1 }
    }
    return String(decoding: bytes[..<end], as: UTF8.self)
  }

  /// `text` as `fixedLength` bytes, or `nil` if it has no room (a null-terminated string needs one
  /// byte for its end).
  func encode(_ text: String) -> [UInt8]? {
    guard let length = fixedLength else { return nil }
    let bytes = Array(text.utf8)
    guard bytes.count <= (padding == .nullTerminated ? length - 1 : length) else { return nil }
    let pad: UInt8 = padding == .spacePadded ? UInt8(ascii: " ") : 0
    return bytes + [UInt8](repeating: pad, count: length - bytes.count)
  }
}

/// The type of what is stored in a file.
public enum HDF5Type: Hashable, Sendable, CustomStringConvertible {
  case integer(bits: Int, isSigned: Bool)
  case floatingPoint(bits: Int)
  case string(HDF5StringType)
  /// Read as the numbers.
  case enumeration(HDF5Enumeration)
  /// As PyTables and HDF5.jl store booleans; read as numbers without sign, up to 64 bits.
  case bitField(bits: Int)
  /// Anything else, which this module doesn't read: "a compound", "a reference", …
  case other(String)

  public static let uint8 = HDF5Type.integer(bits: 8, isSigned: false)

  /// NumPy's name where there is one.
  public var description: String {
    switch self {
    case .integer(let bits, let isSigned): "\(isSigned ? "" : "u")int\(bits)"
    case .floatingPoint(let bits): "float\(bits)"
    case .string(let type):
      "\(type.fixedLength.map { "\($0)-byte" } ?? "variable-length") "
        + (type.isUTF8 ? "UTF-8" : "ASCII")
    case .enumeration(let type): "\(type)"
    case .bitField(let bits): "a bit field of \(bits) bits"
    case .other(let kind): kind
    }
  }

  /// Whether it is read as whole numbers: integers, enumerations and bit fields.
  public var isWholeNumber: Bool {
    switch self {
    case .integer, .enumeration: true
    case .bitField(let bits): bits <= 64
    case .floatingPoint, .string, .other: false
    }
  }

  init(_ d: rfm_h5_description) {
    switch UInt32(bitPattern: d.type_class) {
    case RFM_H5_INTEGER.rawValue:
      self = .integer(bits: Int(clamping: d.type_size) * 8, isSigned: d.is_signed != 0)
    case RFM_H5_FLOATING.rawValue: self = .floatingPoint(bits: Int(clamping: d.type_size) * 8)
    case RFM_H5_STRING.rawValue:
      self = .string(
        HDF5StringType(
          fixedLength: d.is_variable != 0 ? nil : Int(clamping: d.type_size),
          isUTF8: d.is_utf8 != 0, padding: .init(rawValue: d.padding) ?? .nullTerminated))
    // Its names are another matter.
    case RFM_H5_ENUMERATION.rawValue:
      self = .enumeration(HDF5Enumeration([], bits: Int(clamping: d.type_size) * 8))
    case RFM_H5_BIT_FIELD.rawValue: self = .bitField(bits: Int(clamping: d.type_size) * 8)
    case RFM_H5_COMPOUND.rawValue: self = .other("a compound type")
    case RFM_H5_ARRAY.rawValue: self = .other("a type of arrays")
    case RFM_H5_VARIABLE_LISTS.rawValue: self = .other("lists of varying length")
    case RFM_H5_OPAQUE.rawValue: self = .other("opaque bytes")
    case RFM_H5_REFERENCE.rawValue: self = .other("references")
    default: self = .other("a type that is neither number nor string")
    }
  }
}

/// A tuple of C's fixed arrays as Swift values.
func elements<Tuple, Element>(of tuple: Tuple, count: Int, as: Element.Type) -> [Element] {
  withUnsafeBytes(of: tuple) { Array($0.bindMemory(to: Element.self).prefix(count)) }
}

/// Fills a C array with `values`.
func fill<Tuple>(_ tuple: inout Tuple, _ values: [Int]) {
  withUnsafeMutableBytes(of: &tuple) {
    let numbers = $0.bindMemory(to: UInt64.self)
    for (i, value) in values.enumerated() { numbers[i] = UInt64(value) }
  }
}

extension rfm_h5_description {
  /// Sizes along the axes; `nil` if the dataspace is null or an axis is longer than `Int.max`.
  var sizes: [Int]? {
    guard rank >= 0 else { return nil }
    var result: [Int] = []
    for size in elements(of: shape, count: Int(rank), as: UInt64.self) {
      guard let size = Int(exactly: size) else { return nil }
      result.append(size)
    }
    return result
  }
}

/// The product of `sizes`, or `nil` if it overflows.
func product(_ sizes: [Int]) -> Int? {
  var result = 1
  for size in sizes {
    let (next, overflow) = result.multipliedReportingOverflow(by: size)
    if overflow { return nil }
    result = next
  }
  return result
}
