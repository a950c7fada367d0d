import Foundation

/// A folder of its own for one test, removed after it.
public final class TemporaryFolder: Sendable {
  public let path: String

  public init() {
    let url = FileManager.default.temporaryDirectory
      .appendingPathComponent("rfm-test-\(UUID().uuidString)")
    do {
      try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
    } catch {
      fatalError("no folder for the test: \(error)")
    }
    path = url.path
  }

  deinit { try? FileManager.default.removeItem(atPath: path) }

  public var url: URL { URL(fileURLWithPath: path) }

  /// The path of `name` in the folder.
  public func callAsFunction(_ name: String) -> String { path + "/" + name }

  /// What the folder at `name` (the whole by default) holds.
  public func contents(_ name: String = "") throws -> [String] {
    try FileManager.default.contentsOfDirectory(atPath: name.isEmpty ? path : self(name)).sorted()
  }

  /// Writes a file, and the folders above it.
  public func write(_ name: String, _ bytes: [UInt8]) throws {
    let file = URL(fileURLWithPath: self(name))
    try FileManager.default.createDirectory(
      at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
    try Data(bytes).write(to: file)
  }
}
