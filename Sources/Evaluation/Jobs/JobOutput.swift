import Foundation
import Foundations
import MessagePassing

/// Files that jobs leave.
package enum JobOutput {
  /// Makes the folder of the results, on rank 0 and before the work: that it can't be made should
  /// not be found out after hours.
  static func makeFolder(_ path: String, _ communicator: Communicator) throws {
    if communicator.isRoot { try DurableFile.makeFolder(path) }
  }

  /// JSON with sorted keys.
  package static func write(_ value: some Encodable, to path: String) throws {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    let text = String(decoding: try encoder.encode(value), as: UTF8.self) + "\n"
    try DurableFile.write(text, to: path)
  }
}
