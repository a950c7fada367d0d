import CHDF5

/// The value of an attribute, whatever its exact type in the file.
public enum HDF5Value: Hashable, Sendable, CustomStringConvertible {
  case string(String)
  case strings([String])
  case integer(Int64)
  case integers([Int64])
  case number(Double)
  case numbers([Double])
  /// Something that this module doesn't read.
  case other

  /// The text, if this is one text (a scalar or a list of one).
  public var text: String? {
    switch self {
    case .string(let value): value
    case .strings(let values) where values.count == 1: values[0]
    default: nil
    }
  }

  /// The integer, if this is one integer (a scalar or a list of one).
  public var wholeNumber: Int64? {
    switch self {
    case .integer(let value): value
    case .integers(let values) where values.count == 1: values[0]
    default: nil
    }
  }

  public var description: String {
    switch self {
    case .string(let value): value
    case .strings(let values): values.joined(separator: ", ")
    case .integer(let value): "\(value)"
    case .integers(let values): values.map { "\($0)" }.joined(separator: ", ")
    case .number(let value): "\(value)"
    case .numbers(let values): values.map { "\($0)" }.joined(separator: ", ")
    case .other: "(of a type that is neither number nor string)"
    }
  }
}

/// Something that carries attributes: a file (its root) or a dataset.
public protocol HDF5AttributeHolder: ~Copyable {
  /// The library's handle.
  var attributeHandle: Int64 { get }
  /// The file's path, for messages.
  var filePath: String { get }
  /// The dataset's name, for messages; `nil` for the root.
  var datasetName: String? { get }
}

/// The most bytes that an attribute may declare: the format itself stops at 64 KiB except for
/// densely stored ones.
private let attributeLimit = 1 << 24

extension HDF5AttributeHolder where Self: ~Copyable {
  private func place(_ attribute: String) -> String {
    (datasetName.map { "\($0), " } ?? "") + "attribute \(attribute)"
  }

  /// Names of all attributes, sorted.
  public func attributeNames() throws(HDF5Error) -> [String] {
    try sortedNames(file: filePath, object: datasetName, action: "cannot list the attributes") {
      index, name, capacity, error, size in
      rfm_h5_attribute_name(attributeHandle, index, name, capacity, error, size)
    }
  }

  /// The value of an attribute, or `nil` if there is none of this name.
  public func attribute(_ name: String) throws(HDF5Error) -> HDF5Value? {
    let handle = attributeHandle
    let file = filePath
    let object = place(name)
    let action = "cannot read"
    let exists = try Shim.check(file: file, object: object, action: action) {
      rfm_h5_has_attribute(handle, name, $0, $1)
    }
    if exists == 0 { return nil }
    var d = rfm_h5_description()
    try Shim.check(file: file, object: object, action: action) {
      rfm_h5_describe_attribute(handle, name, &d, $0, $1)
    }
    guard d.rank >= 0 else { return .other }
    guard let sizes = d.sizes, let count = product(sizes),
      let bytes = product([count, Int(clamping: d.type_size)]), bytes <= attributeLimit,
      count <= attributeLimit / 8
    else {
      throw HDF5Error(file: file, object: object, action: action, reason: "it is too large")
    }
    let isScalar = sizes.isEmpty
    func read<T: HDF5Element>(_ zero: T) throws(HDF5Error) -> [T] {
      var values = [T](repeating: zero, count: count)
      try Shim.check(file: file, object: object, action: action) { error, size in
        values.withUnsafeMutableBytes {
          rfm_h5_read_attribute(
            handle, name, T.elementType.rawValue, $0.baseAddress, UInt64(count), error, size)
        }
      }
      return values
    }
    switch HDF5Type(d) {
    case .integer:
      let values = try read(Int64(0))
      return isScalar ? .integer(values[0]) : .integers(values)
    case .floatingPoint:
      let values = try read(Double(0))
      return isScalar ? .number(values[0]) : .numbers(values)
    case .string(let type):
      let values = try StringTransfer.read(
        type, count: count, file: file, object: object, action: action,
        fixed: { rfm_h5_read_fixed_string_attribute(handle, name, $0, $1, $2, $3) },
        variable: { rfm_h5_read_variable_string_attribute(handle, name, $0, $1, $2, $3) })
      return isScalar ? .string(values[0]) : .strings(values)
    case .enumeration, .bitField, .other: return .other
    }
  }

  /// Sets an attribute, replacing one of the same name. Strings are stored as `strings` says,
  /// integers as 64-bit, numbers as float64.
  public func setAttribute(
    _ name: String, _ value: HDF5Value, strings: HDF5StringType = .variable
  ) throws(HDF5Error) {
    switch value {
    case .integer(let x): try write(name, Int64.elementType, [x], isScalar: true)
    case .integers(let x): try write(name, Int64.elementType, x, isScalar: false)
    case .number(let x): try write(name, Double.elementType, [x], isScalar: true)
    case .numbers(let x): try write(name, Double.elementType, x, isScalar: false)
    case .string(let x): try writeStrings(name, [x], strings, isScalar: true)
    case .strings(let x): try writeStrings(name, x, strings, isScalar: false)
    case .other: preconditionFailure("an attribute is set to strings or numbers")
    }
  }

  private func creation(count: Int, isScalar: Bool) -> rfm_h5_creation {
    var creation = rfm_h5_creation()
    creation.deflate_level = -1
    creation.rank = isScalar ? 0 : 1
    if !isScalar { fill(&creation.shape, [count]) }
    return creation
  }

  private func write<T>(
    _ name: String, _ element: HDF5ElementType, _ values: [T], isScalar: Bool
  ) throws(HDF5Error) {
    var creation = creation(count: values.count, isScalar: isScalar)
    creation.element = element.rawValue
    try Shim.check(file: filePath, object: place(name), action: "cannot write") { error, size in
      values.withUnsafeBytes {
        rfm_h5_write_attribute(attributeHandle, name, &creation, $0.baseAddress, error, size)
      }
    }
  }

  private func writeStrings(
    _ name: String, _ values: [String], _ type: HDF5StringType, isScalar: Bool
  ) throws(HDF5Error) {
    var creation = creation(count: values.count, isScalar: isScalar)
    creation.setStringType(type)
    try StringTransfer.write(
      values, as: type, file: filePath, object: place(name),
      fixed: { bytes, _, error, size in
        rfm_h5_write_attribute(attributeHandle, name, &creation, bytes, error, size)
      },
      variable: { pointers, error, size in
        rfm_h5_write_attribute(attributeHandle, name, &creation, pointers, error, size)
      })
  }
}

extension rfm_h5_creation {
  mutating func setStringType(_ type: HDF5StringType) {
    is_string = 1
    string_size = UInt64(type.fixedLength ?? 0)
    is_ascii = type.isUTF8 ? 0 : 1
    padding = type.padding.rawValue
  }
}

/// Calls `next` with growing indices until it reports an empty name.
func sortedNames(
  file: String, object: String?, action: String,
  next: (UInt64, UnsafeMutablePointer<CChar>, Int, UnsafeMutablePointer<CChar>, Int) -> Int64
) throws(HDF5Error) -> [String] {
  var names: [String] = []
  let capacity = 4096
  var buffer = [CChar](repeating: 0, count: capacity)
  while true {
    let length = try Shim.check(file: file, object: object, action: action) { error, size in
      buffer.withUnsafeMutableBufferPointer {
        next(UInt64(names.count), $0.baseAddress!, capacity, error, size)
      }
    }
    if length == 0 { return names }
    let bytes = buffer.prefix(min(Int(length), capacity - 1)).map { UInt8(truncatingIfNeeded: $0) }
    names.append(String(decoding: bytes, as: UTF8.self))
  }
}
