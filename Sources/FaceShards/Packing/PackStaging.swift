import Foundation
import Foundations

/// What a `pack` has finished, in the folder where its shards grow: the plan that it is for, the units that
/// wait for their shard (``PackPart``), the shards that are complete, and what became of their files. One
/// that was ended goes on from there; one of another plan begins anew.
struct PackStaging {
  /// ``ShardOutput/staging``.
  let folder: String
  let row: PackPart.Row

  /// The name of a complete shard in the folder.
  static func shardName(_ shard: Int) -> String { "\(shard).h5" }

  func shard(_ shard: Int) -> String { "\(folder)/\(Self.shardName(shard))" }
  /// What became of a complete shard's files.
  private func record(_ shard: Int) -> String { "\(folder)/\(shard).done" }
  func part(_ unit: Int) -> String { "\(folder)/\(unit).part" }

  /// Whoever fails makes it, so that the others stop too.
  var stopMark: String { folder + "/stopped" }
  var isStopped: Bool { access(stopMark, F_OK) == 0 }
  func stop() { _ = FileManager.default.createFile(atPath: stopMark, contents: nil) }

  /// Whether anything is finished.
  static func holdsWork(_ folder: String) -> Bool {
    let names = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
    return names.contains { $0.hasSuffix(".part") || $0.hasSuffix(".done") }
  }

  // MARK: Shards

  /// Notes that a shard is complete; one without faces has no file. Its parts are needed no more.
  func complete(_ shard: Int, _ items: [PackedItem], units: [Int]) throws {
    try DurableFile.write(PackedItem.encode(items), to: record(shard))
    for unit in units { unlink(part(unit)) }
  }

  /// What became of the files of a complete shard; nil if it isn't complete.
  func completed(_ shard: Int) -> [PackedItem]? {
    guard let bytes = FileManager.default.contents(atPath: record(shard)),
      let items = PackedItem.decode(bytes),
      items.allSatisfy({ $0.faces == 0 }) || access(self.shard(shard), F_OK) == 0
    else { return nil }
    return items
  }

  // MARK: Going on

  /// Removes what is not as the files are now: units and shards of files that have changed since.
  ///
  /// - Returns: files that need not be read again.
  func settle(_ plan: PackPlan, root: BytePath) throws -> Int {
    unlink(stopMark)
    func isUnchanged(_ items: [PackedItem]) -> Bool {
      items.allSatisfy {
        plan.items.indices.contains($0.item)
          && FileIdentity(of: plan.path(of: $0.item, below: root)) == $0.identity
      }
    }
    var kept = 0
    var complete = Set<Int>()
    for shard in plan.shards.indices {
      if let items = completed(shard), isUnchanged(items) {
        complete.insert(shard)
        kept += items.count
      } else {
        unlink(record(shard))
        unlink(self.shard(shard))
      }
    }
    for (number, unit) in plan.units.enumerated() {
      let path = part(number)
      guard access(path, F_OK) == 0 else { continue }
      if !complete.contains(unit.shard), let part = try PackPart(at: path, row: row),
        part.items.map(\.item) == Array(unit.items), isUnchanged(part.items)
      {
        kept += part.items.count
      } else {
        unlink(path)
      }
    }
    return kept
  }
}

extension PackPlan {
  /// Where an item's file is.
  func path(of item: Int, below root: BytePath) -> BytePath {
    root.appending(items[item].path.bytes)
  }
}
