import Foundations

/// The index of weights that lie in several files, `model.safetensors.index.json`: which tensor is in
/// which of them,
///
///     {"metadata": {…}, "weight_map": {name: "model-00001-of-00002.safetensors", …}}
///
/// `metadata` and whatever else there is are passed over.
public struct WeightsIndex: Sendable, Equatable {
  /// The tensors' names by the file that holds them.
  public let parts: [String: [String]]

  /// A longer file is refused.
  static let maximumBytes = 64 << 20
  static let maximumParts = 10_000

  struct Problem: Error, Equatable {
    let text: String
  }

  /// - Throws: ``Problem`` for what is no such index, or names files outside its folder.
  init(parsing bytes: [UInt8]) throws(Problem) {
    var parts: [String: [String]]?
    do {
      try bytes.withUnsafeBufferPointer { bytes in
        // A byte-order mark, as some editors put one in front.
        let mark = bytes.starts(with: [0xEF, 0xBB, 0xBF]) ? 3 : 0
        var cursor = JSONCursor(UnsafeBufferPointer(rebasing: bytes[mark...]))
        try cursor.expect(UInt8(ascii: "{"))
        if !cursor.take(UInt8(ascii: "}")) {
          repeat {
            let key = try cursor.string()
            try cursor.expect(UInt8(ascii: ":"))
            guard key == "weight_map" else {
              try cursor.skipValue()
              continue
            }
            guard parts == nil else { throw JSONCursor.Problem(text: "has two lists weight_map") }
            parts = try Self.map(&cursor)
          } while cursor.take(UInt8(ascii: ","))
          try cursor.expect(UInt8(ascii: "}"))
        }
        guard cursor.isAtEnd() else {
          throw JSONCursor.Problem(text: "goes on after its closing brace")
        }
      }
    } catch {
      throw Problem(text: (error as? JSONCursor.Problem)?.text ?? "\(error)")
    }
    guard let parts else {
      throw Problem(text: "is a JSON document without a weight_map: it is no index of weights")
    }
    guard !parts.isEmpty else { throw Problem(text: "is an index without any tensor") }
    self.parts = parts
  }

  private static func map(_ cursor: inout JSONCursor) throws -> [String: [String]] {
    var parts: [String: [String]] = [:]
    var names: Set<String> = []
    try cursor.expect(UInt8(ascii: "{"))
    if cursor.take(UInt8(ascii: "}")) { return parts }
    repeat {
      let name = try cursor.string()
      guard names.insert(name).inserted else {
        throw JSONCursor.Problem(text: "lists tensor '\(printable(name))' twice")
      }
      try cursor.expect(UInt8(ascii: ":"))
      let file = try cursor.string()
      guard isWithin(file) else {
        throw JSONCursor.Problem(
          text: "has tensor '\(printable(name))' in '\(printable(file))', which does not lie "
            + "beside the index: nothing outside its folder is read")
      }
      parts[file, default: []].append(name)
      guard parts.count <= maximumParts else {
        throw JSONCursor.Problem(text: "names more than \(maximumParts) files")
      }
    } while cursor.take(UInt8(ascii: ","))
    try cursor.expect(UInt8(ascii: "}"))
    return parts
  }

  /// Whether a path stays below the folder that it is relative to.
  private static func isWithin(_ path: String) -> Bool {
    let bytes = Array(path.utf8)
    guard !bytes.isEmpty, bytes[0] != UInt8(ascii: "/"), !bytes.contains(0) else { return false }
    return bytes.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false).allSatisfy {
      !$0.isEmpty && !$0.elementsEqual(".".utf8) && !$0.elementsEqual("..".utf8)
    }
  }
}
