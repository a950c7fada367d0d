import Foundation
import Foundations

/// An event file that is being written, `events.out.tfevents.SECONDS.HOST`. Every group of events is
/// handed to the system in one call, so whoever reads it or survives this process finds whole
/// events, but for the last one after a loss of power; readers end there.
final class EventFile {
  let path: String
  private let writer: FileWriter

  /// Creates a file that readers, who go by the names, take for later than all others of the folder.
  /// - Throws: `FileError`.
  init(in folder: String, host: String, time: Date = Date()) throws {
    // A folder that can't be listed can't be written to either, which is told below.
    let names = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
    let latest = names.compactMap(Self.seconds).max() ?? 0
    let seconds = max(Int(time.timeIntervalSince1970), latest + 1)
    let digits = String(seconds)
    let name = String(
      host.map { $0.isASCII && ($0.isLetter || $0.isNumber || "-.".contains($0)) ? $0 : "_" })
    path =
      "\(folder)/\(Self.prefix)\(String(repeating: "0", count: max(0, 10 - digits.count)))"
      + "\(digits).\(name)"
    writer = try FileWriter(creating: path)
    try write([
      Event(wallTime: time.timeIntervalSince1970, step: 0, content: .fileVersion)
    ])
  }

  private static let prefix = "events.out.tfevents."

  /// The time in a file's name.
  private static func seconds(_ name: String) -> Int? {
    guard name.hasPrefix(prefix) else { return nil }
    return name.dropFirst(prefix.count).split(separator: ".").first.flatMap { Int($0) }
      .flatMap { $0 < 1 << 40 ? $0 : nil }  // A later time is none.
  }

  /// - Throws: `FileError`.
  func write(_ events: [Event]) throws {
    try events.flatMap(\.record).withUnsafeBytes { try writer.write($0) }
  }

  /// Waits until everything is on the disk.
  /// - Throws: `FileError`.
  func synchronise() throws { try writer.synchronise() }
}
