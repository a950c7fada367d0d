import OpenSSL

/// SHA-256 (FIPS 180-4), fed piece by piece; OpenSSL's.
public struct SHA256: ~Copyable {
  private let context: OpaquePointer

  public init() {
    context = EVP_MD_CTX_new()!
    let code = EVP_DigestInit_ex(context, EVP_sha256(), nil)
    precondition(code == 1, "OpenSSL was expected to have SHA-256")
  }

  deinit { EVP_MD_CTX_free(context) }

  /// Takes in `bytes`.
  public mutating func update(_ bytes: UnsafeRawBufferPointer) {
    EVP_DigestUpdate(context, bytes.baseAddress, bytes.count)
  }

  /// Takes in `bytes`.
  public mutating func update(_ bytes: [UInt8]) {
    bytes.withUnsafeBytes { update($0) }
  }

  /// The 32 bytes of the digest of everything taken in so far; more may be taken in after.
  public borrowing func finish() -> [UInt8] {
    let copy = EVP_MD_CTX_new()!
    defer { EVP_MD_CTX_free(copy) }
    EVP_MD_CTX_copy_ex(copy, context)
    return [UInt8](unsafeUninitializedCapacity: 32) { digest, count in
      EVP_DigestFinal_ex(copy, digest.baseAddress, nil)
      count = 32
    }
  }

  /// ``finish()`` in lower-case hexadecimal.
  public borrowing func hexadecimal() -> String {
    let digits = Array("0123456789abcdef")
    return String(finish().flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] })
  }

  /// The digest of `bytes` in lower-case hexadecimal.
  public static func hexadecimal(of bytes: [UInt8]) -> String {
    var hash = SHA256()
    hash.update(bytes)
    return hash.hexadecimal()
  }
}

extension SHA256 {
  /// The digest of a file's bytes in lower-case hexadecimal.
  /// - Throws: `FileError`.
  public static func hexadecimal(ofFile path: String) throws -> String {
    let reader = try FileReader(opening: path)
    var hash = SHA256()
    var offset = 0
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 18, alignment: 64)
    defer { buffer.deallocate() }
    while true {
      let count = try reader.read(into: buffer, at: offset)
      if count == 0 { return hash.hexadecimal() }
      hash.update(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
      offset += count
    }
  }
}
