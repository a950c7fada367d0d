import Foundation
import TestSupport
import Testing

@testable import FaceShards
@testable import Foundations

/// A data set as a tree of small files with the names that its authors give.
final class LayoutFixture {
  let folder = TemporaryFolder()
  var settings: PackSettings

  /// - Parameters:
  ///   - files: paths of images and videos; their contents don't matter.
  ///   - texts: lists and tables, by path.
  init(_ files: [String], texts: [String: String] = [:]) throws {
    settings = PackSettings(input: folder.path, output: folder("out"))
    for file in files { try folder.write(file, []) }
    for (path, text) in texts { try folder.write(path, Array(text.utf8)) }
  }

  /// The layout of the folder, or of one below it.
  func layout(below input: String = "") throws -> PackLayout {
    var settings = settings
    if !input.isEmpty { settings.input = folder(input) }
    let files = try FolderListing(of: BytePath(settings.input)).files
    return try PackLayout(LayoutInput(files: files, settings: settings))
  }

  /// "SPLIT METHOD SOURCE" of every file that is taken, by its path; the split is "-" where nothing
  /// says one.
  func read(below input: String = "") throws -> [String: String] {
    Self.words(try layout(below: input))
  }

  static func words(_ layout: PackLayout) -> [String: String] {
    var all: [String: String] = [:]
    for file in layout.candidates {
      all["\(file.path)"] =
        "\(file.split ?? "-") \(layout.methods[file.method]) \(layout.sources[file.source])"
    }
    return all
  }

  /// The same after splits were dealt.
  func dealt(seed: UInt64 = 0) throws -> [String: String] {
    let assignment = try SplitAssignment(layout: layout(), shares: settings.split, seed: seed)
    var all: [String: String] = [:]
    for (file, split) in zip(assignment.candidates, assignment.splitOf) {
      all["\(file.path)"] = assignment.splits[split]
    }
    return all
  }

  /// Sources that are tied.
  static func groups(_ layout: PackLayout) -> Set<Set<String>> {
    var members: [Int: Set<String>] = [:]
    for (source, group) in layout.groups.enumerated() {
      members[group, default: []].insert(layout.sources[source])
    }
    return Set(members.values)
  }

  /// The one line that the error says.
  func refusal(below input: String = "") throws -> String {
    let error = try #require(throws: PackError.self) { _ = try layout(below: input) }
    #expect(!error.description.contains("\n"))
    return error.description
  }
}
