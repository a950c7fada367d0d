import Foundation
import Foundations

@testable import FaceShards

/// Names of folders, and the lists, rules and tables that say what files are.
extension FuzzTarget {
  /// Paths below a folder, one a line.
  static func layout(_ bytes: [UInt8]) {
    var files = Set<BytePath>()
    for line in bytes.split(separator: 10).prefix(300) where !line.contains(0) {
      let parts = BytePath(bytes: Array(line)).components
      if !parts.isEmpty { files.insert(BytePath(bytes: Array(parts.joined(separator: [47])))) }
    }
    for groups in [true, false] {
      guard
        let layout = attempt({
          try PackLayout(files: files.sorted(), folder: "faces", groups: groups)
        })
      else { return }
      for note in layout.notes { requireFitForTerminal(printable(note, limit: 4000)) }
      // No image is lost, and none is there twice.
      let taken = Set(layout.candidates.map(\.path))
      precondition(taken.count == layout.candidates.count, "an image is taken twice")
      for path in files.subtracting(taken) {
        precondition(
          FolderEntryKind(name: path.components.last!) != .image || LayoutFiles.isBeside(path),
          "\(path) is lost")
      }
      guard
        let plan = attempt({
          PackPlan(
            try SplitAssignment(layout: layout, shares: nil, seed: 0), seed: 0, imagesPerShard: 7)
        })
      else { continue }
      for unit in plan.units {
        let told = plan.files(unit.items)
        precondition(PlannedFile.decode(PlannedFile.encode(told)) == told, "other files came back")
      }
      precondition(Set(plan.items.map(\.path)) == taken, "the plan has other images")
      guard layout.splits.isEmpty else { continue }
      var splitOf: [Int: Int] = [:]
      for shard in plan.shards {
        for item in plan.items[shard.range] {
          let group = layout.groups[item.source]
          precondition(
            splitOf[group, default: shard.split] == shard.split, "a group is in two splits")
          splitOf[group] = shard.split
        }
      }
    }
  }

  /// What lists and rules may name.
  private static let files = [
    "FaceForensics++/manipulated_sequences/Deepfakes/c23/frames/000_003/000.png",
    "FaceForensics++/original_sequences/youtube/c23/frames/000/000.png", "a/r1.png", "b/f 2.png",
    "b/f1.png", "frames/vidA/0001.png", "frames/vidB/0001.png", "list.csv", "v/000_003.mp4",
  ]

  private static var input: LayoutInput {
    LayoutInput(files: files.map { BytePath($0) }.sorted(), folder: "faces")
  }

  /// What was read is of files that are there, each once, and can be said.
  private static func check(_ reading: LayoutReading?) {
    guard let reading else { return }
    let paths = reading.entries.map { "\($0.path)" }
    precondition(Set(paths).count == paths.count, "a file is taken twice")
    precondition(Set(paths).isSubset(of: files), "a file is taken that is not there")
    for note in reading.notes { requireFitForTerminal(printable(note, limit: 4000)) }
    for entry in reading.entries {
      precondition(
        entry.split.map { FolderRole.splits.contains($0) } ?? true, "a split of another name")
    }
  }

  static func layoutList(_ bytes: [UInt8]) {
    let path = BytePath("list.csv")
    guard let table = attempt({ try ListTable(bytes, path) }) else { return }
    check(attempt { try ListLayout.read(table, path, input) })
  }

  static func layoutMapping(_ bytes: [UInt8]) {
    let path = BytePath("mapping.yaml")
    guard let rules = attempt({ try MappingRules(bytes, path) }) else { return }
    check(attempt { try MappingLayout.read(rules, path, input) })
  }

  /// Tables of DFDC.
  static func layoutMetadata(_ bytes: [UInt8]) {
    for name in ["metadata.json", "labels.csv"] {
      attempt { try DFDCTable(bytes, BytePath(name)) }
    }
  }

  /// Split files of the data sets' authors.
  static func layoutSplits(_ bytes: [UInt8]) {
    attempt { try FaceForensicsSplits.pairs(bytes, BytePath("train.json")) }
    attempt { try CelebDFLayout.testList(bytes, BytePath(CelebDFLayout.listName)) }
    guard let index = attempt({ try DeepfakeBenchIndex(bytes, BytePath("FF.json")) }) else {
      return
    }
    check(attempt { try DeepfakeBenchLayout.read([index], input) })
  }
}
