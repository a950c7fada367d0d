import CHDF5
import Foundations

/// Strings of both kinds of storage to and from Swift, for datasets and attributes alike.
enum StringTransfer {
  typealias ErrorText = UnsafeMutablePointer<CChar>

  /// Reads `count` strings. Exactly one of the closures is called: `fixed` with room for the bytes,
  /// `variable` with room for the pointers, which are freed here.
  static func read(
    _ type: HDF5StringType, count: Int, file: String, object: String, action: String,
    fixed: (UnsafeMutablePointer<CChar>, UInt64, ErrorText, Int) -> Int32,
    variable: (
      UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>, UInt64, ErrorText, Int
    ) -> Int32
  ) throws(HDF5Error) -> [String] {
    if count == 0 { return [] }
    if let length = type.fixedLength {
      var bytes = [UInt8](repeating: 0, count: count * length)
      try Shim.check(file: file, object: object, action: action) { error, size in
        bytes.withUnsafeMutableBytes {
          fixed(
            $0.baseAddress!.assumingMemoryBound(to: CChar.self), UInt64($0.count), error, size)
        }
      }
      return bytes.withUnsafeBufferPointer { all in
        (0..<count).map {
          type.decode(UnsafeBufferPointer(rebasing: all[$0 * length..<($0 + 1) * length]))
        }
      }
    }
    var pointers = [UnsafeMutablePointer<CChar>?](repeating: nil, count: count)
    try Shim.check(file: file, object: object, action: action) { error, size in
      pointers.withUnsafeMutableBufferPointer {
        variable($0.baseAddress!, UInt64(count), error, size)
      }
    }
    defer {
      pointers.withUnsafeMutableBufferPointer {
        rfm_h5_free_strings($0.baseAddress!, UInt64(count))
      }
    }
    return pointers.map { $0.map { String(cString: $0) } ?? "" }
  }

  /// Hands `strings` in the form that `type` asks for to one of the closures.
  static func write(
    _ strings: [String], as type: HDF5StringType, file: String, object: String,
    fixed: (UnsafePointer<CChar>, UInt64, ErrorText, Int) -> Int32,
    variable: (UnsafePointer<UnsafePointer<CChar>?>, ErrorText, Int) -> Int32
  ) throws(HDF5Error) {
    if let length = type.fixedLength {
      var bytes: [UInt8] = []
      bytes.reserveCapacity(max(1, strings.count * length))
      for string in strings {
        guard let encoded = type.encode(string) else {
          throw HDF5Error(
            file: file, object: object, action: "cannot write",
            reason: "\"\(string)\" is longer than \(length) bytes")
        }
        bytes += encoded
      }
      if bytes.isEmpty { bytes = [0] }
      try Shim.check(file: file, object: object, action: "cannot write") { error, size in
        bytes.withUnsafeBytes {
          fixed($0.baseAddress!.assumingMemoryBound(to: CChar.self), UInt64($0.count), error, size)
        }
      }
      return
    }
    // All texts, each ended by NUL, in one buffer that the pointers point into.
    var text: [CChar] = []
    var offsets: [Int] = []
    for string in strings {
      offsets.append(text.count)
      text.append(contentsOf: string.utf8CString)
    }
    if text.isEmpty { text = [0] }
    try Shim.check(file: file, object: object, action: "cannot write") { error, size in
      text.withUnsafeBufferPointer { text in
        var pointers: [UnsafePointer<CChar>?] = offsets.map { text.baseAddress! + $0 }
        if pointers.isEmpty { pointers = [nil] }
        return pointers.withUnsafeBufferPointer { variable($0.baseAddress!, error, size) }
      }
    }
  }
}
