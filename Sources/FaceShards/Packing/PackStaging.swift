import Foundation
import Foundations

/// What a `pack` has finished, in the folder where its shards grow: the plan that it is for and its files
/// (``StagedPlan``), the units that wait for their shard (``PackPart``), the shards that are complete, and what
/// became of their files. One that was ended goes on from there; one of another plan begins anew.
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
  func settle(_ plan: StagedPlan, root: BytePath) throws -> Int {
    unlink(stopMark)
    /// Whether these are what became of the files of some units, as the files are now.
    func isUnchanged(_ items: [PackedItem], of units: Range<Int>) throws -> Bool {
      guard items.map(\.item) == units.flatMap({ Array(plan.unit($0).items) }) else { return false }
      let files = try units.flatMap { try plan.files(of: $0) }
      return zip(items, files).allSatisfy {
        FileIdentity(of: $1.path(below: root)) == $0.identity
      }
    }
    var kept = 0
    var complete = Set<Int>()
    for shard in plan.shards.indices {
      if let items = completed(shard), try isUnchanged(items, of: plan.units(of: shard)) {
        complete.insert(shard)
        kept += items.count
      } else {
        unlink(record(shard))
        unlink(self.shard(shard))
      }
    }
    for number in 0..<plan.unitCount {
      let path = part(number)
      guard access(path, F_OK) == 0 else { continue }
      if !complete.contains(plan.unit(number).shard), let part = try PackPart(at: path, row: row),
        try isUnchanged(part.items, of: number..<number + 1)
      {
        kept += part.items.count
      } else {
        unlink(path)
      }
    }
    return kept
  }
}
