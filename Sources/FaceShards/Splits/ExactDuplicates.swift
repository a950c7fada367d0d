import Foundation
import Foundations

/// Files that hold the same bytes and are in different splits: what is tested on must not be learnt.
enum ExactDuplicates {
  /// A picture of a face has more bytes; less is no evidence.
  static let leastBytes = 1024

  /// Takes files out of training that are the same as one for validation or testing, byte by byte, and
  /// out of validation those of testing.
  ///
  /// Only files of the same size are opened, and read to their end only if they begin alike.
  ///
  /// - Returns: how many were taken out, with the first and what it is the same as.
  static func remove(
    from entries: inout [LayoutEntry], root: BytePath, defaultSplit: String
  ) -> (count: Int, first: BytePath, other: BytePath)? {
    func rank(_ entry: LayoutEntry) -> Int {
      FolderRole.splits.firstIndex(of: entry.split ?? defaultSplit) ?? 0
    }
    var bySize: [Int: [Int]] = [:]
    for (index, entry) in entries.enumerated() {
      var status = stat()
      guard root.appending(entry.path.bytes).withCString({ stat($0, &status) }) == 0,
        status.st_size >= leastBytes
      else { continue }
      bySize[Int(status.st_size), default: []].append(index)
    }
    var removed: [Int: Int] = [:]
    for alike in bySize.values where Set(alike.map { rank(entries[$0]) }).count > 1 {
      for beginning in grouped(alike, { digest($0, entries, root, limit: 4096) }) {
        for same in grouped(beginning, { digest($0, entries, root, limit: .max) }) {
          let kept = same.max { rank(entries[$0]) < rank(entries[$1]) }!
          for index in same where rank(entries[index]) < rank(entries[kept]) {
            removed[index] = kept
          }
        }
      }
    }
    guard let first = removed.keys.min() else { return nil }
    let result = (removed.count, entries[first].path, entries[removed[first]!].path)
    entries = entries.enumerated().filter { removed[$0.offset] == nil }.map(\.element)
    return result
  }

  /// Those with one digest, where there are several.
  private static func grouped(_ indices: [Int], _ digest: (Int) -> [UInt8]?) -> [[Int]] {
    var groups: [[UInt8]: [Int]] = [:]
    for index in indices {
      if let key = digest(index) { groups[key, default: []].append(index) }
    }
    return groups.values.filter { $0.count > 1 }
  }

  /// Of a file's bytes up to a limit; nil if it can't be read.
  private static func digest(
    _ index: Int, _ entries: [LayoutEntry], _ root: BytePath, limit: Int
  ) -> [UInt8]? {
    let path = root.appending(entries[index].path.bytes)
    let descriptor = path.withCString { open($0, O_RDONLY | O_CLOEXEC | O_NONBLOCK) }
    guard descriptor >= 0 else { return nil }
    defer { close(descriptor) }
    var hash = SHA256()
    var buffer = [UInt8](repeating: 0, count: min(limit, 1 << 18))
    var left = limit
    while left > 0 {
      let count = buffer.withUnsafeMutableBytes {
        Foundation.read(descriptor, $0.baseAddress!, min($0.count, left))
      }
      guard count >= 0 else { return nil }
      if count == 0 { break }
      buffer.withUnsafeBytes { hash.update(UnsafeRawBufferPointer(rebasing: $0[..<count])) }
      left -= count
    }
    return hash.finish()
  }
}
