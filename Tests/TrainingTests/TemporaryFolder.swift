import Foundation

/// A folder of its own for one test, removed after it.
final class TemporaryFolder {
  let url = FileManager.default.temporaryDirectory
    .appendingPathComponent("rfm-\(UUID().uuidString)")

  var path: String { url.path }

  init() {
    do {
      try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
    } catch {
      fatalError("no folder for the test: \(error)")
    }
  }

  deinit { try? FileManager.default.removeItem(at: url) }

  /// The path of `name` in the folder.
  func callAsFunction(_ name: String) -> String { url.appendingPathComponent(name).path }

  /// What the folder at `name` (the whole by default) holds.
  func contents(_ name: String = "") throws -> [String] {
    try FileManager.default.contentsOfDirectory(
      atPath: name.isEmpty ? path : self(name)
    ).sorted()
  }
}
