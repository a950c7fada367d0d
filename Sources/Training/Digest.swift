import CKernels

/// SHA-256 (FIPS 180-4), fed piece by piece.
public struct SHA256: Sendable {
  private var state: SIMD8<UInt32> = [
    0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a,
    0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19,
  ]
  /// Bytes that do not fill a block yet.
  private var rest: [UInt8] = []
  private var length: UInt64 = 0

  private let compressBlocks: Compress

  typealias Compress =
    @convention(c) (UnsafeMutablePointer<UInt32>?, UnsafePointer<UInt8>?, Int) -> Void

  public init() { self.init(compress: rfm_sha256_blocks) }

  /// For tests of one path.
  init(compress: @escaping Compress) {
    compressBlocks = compress
    rest.reserveCapacity(64)
  }

  /// Takes in `bytes`.
  public mutating func update(_ bytes: UnsafeRawBufferPointer) {
    length &+= UInt64(bytes.count)
    var position = 0
    if !rest.isEmpty {
      let taken = Swift.min(64 - rest.count, bytes.count)
      rest.append(contentsOf: UnsafeRawBufferPointer(rebasing: bytes[..<taken]))
      position = taken
      guard rest.count == 64 else { return }
      let block = rest
      block.withUnsafeBytes { compress($0.baseAddress!, blocks: 1) }
      rest.removeAll(keepingCapacity: true)
    }
    let blocks = (bytes.count - position) / 64
    if blocks > 0 {
      compress(bytes.baseAddress! + position, blocks: blocks)
      position += blocks * 64
    }
    rest.append(contentsOf: UnsafeRawBufferPointer(rebasing: bytes[position...]))
  }

  /// Takes in `bytes`.
  public mutating func update(_ bytes: [UInt8]) {
    bytes.withUnsafeBytes { update($0) }
  }

  /// The 32 bytes of the digest of everything taken in.
  public func finish() -> [UInt8] {
    var copy = self
    let bits = length &* 8
    var padding: [UInt8] = [0x80]
    padding += [UInt8](repeating: 0, count: (119 - copy.rest.count) % 64)
    for shift in stride(from: 56, through: 0, by: -8) {
      padding.append(UInt8(truncatingIfNeeded: bits >> UInt64(shift)))
    }
    copy.update(padding)
    return (0..<8).flatMap { word in
      stride(from: 24, through: 0, by: -8).map {
        UInt8(truncatingIfNeeded: copy.state[word] >> UInt32($0))
      }
    }
  }

  /// ``finish()`` in lower-case hexadecimal.
  public func hexadecimal() -> String {
    let digits = Array("0123456789abcdef")
    return String(finish().flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] })
  }

  /// The digest of `bytes` in lower-case hexadecimal.
  public static func hexadecimal(of bytes: [UInt8]) -> String {
    var hash = SHA256()
    hash.update(bytes)
    return hash.hexadecimal()
  }

  private mutating func compress(_ data: UnsafeRawPointer, blocks: Int) {
    withUnsafeMutableBytes(of: &state) {
      compressBlocks(
        $0.baseAddress!.assumingMemoryBound(to: UInt32.self),
        data.assumingMemoryBound(to: UInt8.self), blocks)
    }
  }
}
