/// Tells contents apart in a moment (FNV-1a of Fowler, Noll and Vo, by words of 64 bits); guards against
/// nothing else: where somebody may want to deceive, ``SHA256`` does.
public struct ContentsDigest: Sendable, Equatable {
  public private(set) var value: UInt64 = 0xCBF2_9CE4_8422_2325

  public init() {}

  /// In 16 hexadecimal digits.
  public var text: String {
    let digits = String(value, radix: 16)
    return String(repeating: "0", count: 16 - digits.count) + digits
  }

  private mutating func add(_ word: UInt64) { value = (value ^ word) &* 0x100_0000_01B3 }

  /// Takes in bytes and their number.
  public mutating func add(_ bytes: UnsafeRawBufferPointer) {
    let whole = bytes.count / 8 * 8
    for offset in stride(from: 0, to: whole, by: 8) {
      add(bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
    }
    for byte in bytes[whole...] { add(UInt64(byte)) }
    add(UInt64(bytes.count))
  }

  public mutating func add(_ values: [Float]) { values.withUnsafeBytes { add($0) } }
  public mutating func add(_ bytes: [UInt8]) { bytes.withUnsafeBytes { add($0) } }
  public mutating func add(_ text: String) { add(Array(text.utf8)) }
}
