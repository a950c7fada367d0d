/// A message in Protocol Buffers' wire format, written field by field. As the canonical encoders do,
/// fields stand in the order of their numbers (the caller's) and values equal to the default are
/// left out, unless they belong to a oneof, where being there is what counts.
package struct ProtocolBuffer {
  package private(set) var bytes: [UInt8] = []

  package init() {}

  private enum WireType: UInt64 {
    case variable = 0
    case fixed64 = 1
    case delimited = 2
    case fixed32 = 5
  }

  /// int32, int64 and enumerations.
  package mutating func put(_ field: UInt64, integer value: Int64) {
    guard value != 0 else { return }
    tag(field, .variable)
    variable(UInt64(bitPattern: value))
  }

  package mutating func put(_ field: UInt64, double value: Double) {
    guard value != 0 else { return }
    tag(field, .fixed64)
    littleEndian(value.bitPattern)
  }

  /// A float of a oneof.
  package mutating func put(_ field: UInt64, float value: Float) {
    tag(field, .fixed32)
    littleEndian(value.bitPattern)
  }

  package mutating func put(_ field: UInt64, text: String) {
    guard !text.isEmpty else { return }
    put(field, bytes: Array(text.utf8))
  }

  /// Bytes, texts and messages of a oneof, and elements of repeated fields.
  package mutating func put(_ field: UInt64, bytes value: [UInt8]) {
    tag(field, .delimited)
    variable(UInt64(value.count))
    bytes += value
  }

  /// Elements of a repeated field of int64, each with its number (`[packed = false]`, proto2's way).
  package mutating func put(_ field: UInt64, elements: [Int64]) {
    for element in elements {
      tag(field, .variable)
      variable(UInt64(bitPattern: element))
    }
  }

  /// The beginning of a field of this many bytes, which follow from elsewhere.
  package mutating func put(_ field: UInt64, lengthOfBytes count: Int) {
    tag(field, .delimited)
    variable(UInt64(count))
  }

  /// A message inside.
  package mutating func put(_ field: UInt64, message body: (inout ProtocolBuffer) -> Void) {
    var message = ProtocolBuffer()
    body(&message)
    put(field, bytes: message.bytes)
  }

  private mutating func tag(_ field: UInt64, _ type: WireType) {
    variable(field << 3 | type.rawValue)
  }

  private mutating func variable(_ value: UInt64) {
    var rest = value
    while rest >= 0x80 {
      bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
      rest >>= 7
    }
    bytes.append(UInt8(rest))
  }

  private mutating func littleEndian(_ value: some FixedWidthInteger) {
    withUnsafeBytes(of: value.littleEndian) { bytes += $0 }
  }
}
