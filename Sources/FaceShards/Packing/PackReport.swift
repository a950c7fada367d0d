import Foundation
import Foundations

/// What `pack` did.
public struct PackReport: Sendable, Equatable, Codable {
  public struct Split: Sendable, Equatable, Codable {
    public let name: String
    /// Paths of its shards.
    public let shards: [String]
    /// Images of each method; entry 0 is the real ones.
    public let counts: [Int]
  }

  public struct Skipped: Sendable, Equatable, Codable {
    /// Relative to the input folder, printable.
    public let path: String
    public let reason: String
  }

  /// Entry 0 is "real".
  public let methods: [String]
  public let splits: [Split]
  /// Files of which nothing was packed, in the order of their paths.
  public let skipped: [Skipped]
  /// Files in all.
  public let files: Int
  /// What else the user should know, one line each.
  public let notes: [String]

  /// What was passed over and how much that is, one line each.
  public var remarks: [String] {
    var lines = notes + skipped.map { "\($0.path): \($0.reason); passed over" }
    if !skipped.isEmpty {
      lines.append("\(skipped.count) of \(files) files give no face and are not packed")
    }
    return lines
  }

  /// Splits in rows, methods in columns; names of methods as they are fit for a terminal.
  public var table: String {
    var rows = [["split", "shards", "images"] + methods.map { printable($0) }]
    for split in splits {
      rows.append(
        [split.name, "\(split.shards.count)", "\(split.counts.reduce(0, +))"]
          + split.counts.map(String.init))
    }
    let widths = rows[0].indices.map { column in rows.map { $0[column].count }.max()! }
    return rows.map { row in
      row.enumerated().map { column, text in
        let pad = String(repeating: " ", count: widths[column] - text.count)
        return column == 0 ? text + pad : pad + text
      }.joined(separator: "  ")
    }.joined(separator: "\n")
  }
}

/// As it travels between ranks.
extension PackReport {
  var encoded: [UInt8] {
    get throws { Array(try JSONEncoder().encode(self)) }
  }

  init(decoding bytes: [UInt8]) throws {
    self = try JSONDecoder().decode(PackReport.self, from: Data(bytes))
  }
}
