import Foundation
import Foundations

/// Whether shards keep the splits of a data set apart: no source in two of them, no sources that their
/// names tie, and no image that is the same to the last bit.
public struct SplitInspection: Sendable, Equatable {
  /// A shard, and the split it is of.
  public struct Member: Sendable, Equatable {
    public var path: String
    public var split: String

    public init(path: String, split: String) {
      self.path = path
      self.split = split
    }

    /// Shards as they are given on the command line: `data/train-00000.h5`, or `train=faces.h5`.
    ///
    /// Throws ``PackError`` if nothing says the split of one, or all are of one split.
    public static func all(from arguments: [String]) throws -> [Member] {
      let members = try arguments.map { argument in
        if let split = SplitInspection.split(ofFile: argument) {
          return Member(path: argument, split: split)
        }
        guard let sign = argument.firstIndex(of: "="), sign > argument.startIndex,
          argument[..<sign].utf8.allSatisfy({ $0 != UInt8(ascii: "/") })
        else {
          throw PackError.usage(
            "\(printable(argument)): its name does not begin with a split, as train-00000.h5; give it as"
              + " train=\(printable(argument))")
        }
        return Member(
          path: String(argument[argument.index(after: sign)...]), split: String(argument[..<sign]))
      }
      guard Set(members.map(\.split)).count > 1 else {
        throw PackError.usage(
          "all shards are of the split \(members.first.map { printable($0.split) } ?? "none"): name those"
            + " of the others too")
      }
      return members
    }
  }

  /// What was compared, in numbers, line by line.
  public private(set) var lines: [String] = []
  /// What is in several splits, a line each.
  public private(set) var problems: [String] = []

  /// The split that a shard's file name tells, `train` of `train-00000.h5`; nil if it has another form.
  public static func split(ofFile path: String) -> String? {
    let name = BytePath(path).components.last ?? []
    let stem = LayoutFiles.stem(name)
    guard stem.count > 6, name.count > stem.count, stem[stem.count - 6] == UInt8(ascii: "-"),
      stem.suffix(5).allSatisfy({ (48...57).contains($0) })
    else { return nil }
    return LayoutFiles.text(Array(stem.dropLast(6)))
  }

  /// Two words of an image's digest.
  private struct Digest: Hashable {
    var first: UInt64
    var second: UInt64
  }

  private struct Place {
    var member: Int
    var row: Int
  }

  private struct Source {
    var isReal = false
    /// Whether it is more than the name of an image's file, which may be a mere number.
    var isNamed = false
    /// Of every split the first image.
    var places: [String: Place] = [:]
  }

  private let members: [Member]

  /// Reads everything.
  ///
  /// - Parameter progress: called with images read and in all.
  /// - Throws: what reading a shard throws.
  public init(_ members: [Member], progress: (Int, Int) -> Void = { _, _ in }) throws {
    self.members = members
    // One open at a time: there may be more than a process may have open.
    let shards = try members.map { member in
      let shard = try Shard(reading: member.path)
      shard.close()
      return shard
    }
    let total = shards.reduce(0) { $0 + $1.count }
    var sources: [String: Source] = [:]
    var known: [Digest: Place] = [:]
    var duplicates: [(Place, Place)] = []
    var duplicateCount = 0
    var without: [String] = []
    var counts: [String: Int] = [:]
    var done = 0
    for (index, shard) in shards.enumerated() {
      let split = members[index].split
      counts[split, default: 0] += shard.count
      let names = try shard.readSources()
      if names == nil { without.append(shard.path) }
      let paths = try shard.readPaths()
      defer { shard.close() }
      var pixels = [UInt8](repeating: 0, count: shard.imageSize)
      for row in 0..<shard.count {
        let place = Place(member: index, row: row)
        if let name = names?[row] {
          var source = sources[name] ?? Source()
          if shard.labels[row] == 0 { source.isReal = true }
          if !Self.isFileName(name, paths?[row]) { source.isNamed = true }
          if source.places[split] == nil { source.places[split] = place }
          sources[name] = source
        }
        try pixels.withUnsafeMutableBufferPointer { try shard.readImage(row, into: $0) }
        let digest = Self.digest(pixels, shard.height)
        if let first = known[digest] {
          if members[first.member].split != split {
            duplicateCount += 1
            if duplicates.count < 3 { duplicates.append((first, place)) }
          }
        } else {
          known[digest] = place
        }
        done += 1
        progress(done, total)
      }
    }
    lines.append(
      "\(total) images, \(sources.count) sources: "
        + counts.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value)" }.joined(separator: ", "))
    if let first = without.first {
      lines.append("\(without.count) shards name no sources, such as \(first)")
    }
    try compare(sources, shards)
    if !duplicates.isEmpty {
      let examples = try duplicates.map {
        "\(try words($0.0, shards)) and \(try words($0.1, shards))"
      }
      problems.append(
        "\(duplicateCount) images are the same as one of another split: "
          + examples.joined(separator: "; "))
    }
  }

  /// Whether a source is called as its image's file, for lack of anything better.
  private static func isFileName(_ source: String, _ path: String?) -> Bool {
    guard let path, let file = BytePath(path).components.last else { return false }
    // A printable path has its escapes in it, as the source has.
    return FolderEntryKind(name: file) != .video
      && String(decoding: LayoutFiles.stem(file), as: UTF8.self) == source
  }

  private static func digest(_ pixels: [UInt8], _ height: Int) -> Digest {
    var hash = SHA256()
    withUnsafeBytes(of: Int64(height)) { hash.update($0) }
    hash.update(pixels)
    let bytes = hash.finish()
    return bytes.withUnsafeBytes {
      Digest(
        first: $0.loadUnaligned(as: UInt64.self),
        second: $0.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
    }
  }

  private mutating func compare(_ sources: [String: Source], _ shards: [Shard]) throws {
    let names = sources.keys.sorted()
    let crossing = names.filter { sources[$0]!.places.count > 1 }
    let named = crossing.filter { sources[$0]!.isNamed }
    if !named.isEmpty {
      let examples = try named.prefix(3).map { name in
        "\(name) ("
          + (try sources[name]!.places.sorted { $0.key < $1.key }.map {
            "\($0.key): \(try words($0.value, shards))"
          }).joined(separator: ", ") + ")"
      }
      problems.append(
        "\(named.count) sources are in several splits: " + examples.joined(separator: "; "))
    }
    if let first = crossing.first(where: { !sources[$0]!.isNamed }) {
      lines.append(
        "\(crossing.count - named.count) sources of several splits are only names of files, such as"
          + " \(first): nothing says whether they are the same")
    }
    // What names tie, beside what is the same by name already.
    let apart = names.filter { sources[$0]!.isNamed && sources[$0]!.places.count == 1 }
    let ties = SourceGroups(
      sources: apart, isReal: apart.map { sources[$0]!.isReal },
      shows: apart.map { _ in [] }, guesses: true)
    var splitsOf: [Int: [String: String]] = [:]
    for (index, name) in apart.enumerated() {
      let split = sources[name]!.places.keys.first!
      if splitsOf[ties.groups[index]]?[split] == nil {
        splitsOf[ties.groups[index], default: [:]][split] = name
      }
    }
    let tied = splitsOf.filter { $0.value.count > 1 }
    guard !tied.isEmpty else { return }
    let examples = tied.keys.sorted().prefix(3).map { group in
      tied[group]!.sorted { $0.key < $1.key }.map { "\($0.value) (\($0.key))" }
        .joined(separator: " and ")
    }
    problems.append(
      "\(tied.count) groups of sources that show the same people by their names are in several splits:"
        + " " + examples.joined(separator: "; "))
  }

  private func words(_ place: Place, _ shards: [Shard]) throws -> String {
    let shard = shards[place.member]
    defer { shard.close() }
    let path = try shard.readPaths().map { ", \($0[place.row])" } ?? ""
    return "\(shard.path) row \(place.row)\(path)"
  }
}
