import Dispatch
import Foundations
import Glibc
import MessagePassing
import Synchronization

/// A rank's part of packing: its units on several threads, its shards as soon as all of their units are
/// there, whichever rank has read them.
struct PackWork {
  let recipe: PackRecipe
  let plan: StagedPlan
  let staging: PackStaging
  let rank: Int
  let ranks: Int

  private var settings: PackSettings { recipe.settings }

  /// Units that this rank reads, in the plan's order, without those that are finished.
  private func ownUnits(of unwritten: Set<Int>) -> [Int] {
    stride(from: rank, to: plan.unitCount, by: ranks).filter { number in
      unwritten.contains(plan.unit(number).shard) && !isFinished(number)
    }
  }

  private func isFinished(_ unit: Int) -> Bool { access(staging.part(unit), F_OK) == 0 }

  /// What threads share.
  private final class Progress: Sendable {
    let next = Atomic(0)
    /// Files done, and whatever shows that work goes on.
    let files = Atomic(0)
    let steps = Atomic(0)
    let isStopped = Atomic(false)
    let failure = Mutex<(any Error)?>(nil)
  }

  /// Works until everything of this rank is done, or until it fails or another rank has.
  ///
  /// - Parameters:
  ///   - begins: called once, where there is enough to do, with the seconds that the first unit took and the
  ///     units of this rank.
  ///   - progress: files done and in all; called again and again while work goes on.
  func run(
    isCancelled: () -> Bool, begins: (_ seconds: Double, _ units: Int) -> Void,
    progress: (_ done: Int, _ total: Int) -> Void
  ) throws {
    // Asked once a shard: its record is read.
    let unwritten = plan.shards.indices.filter { staging.completed($0) == nil }
    let units = ownUnits(of: Set(unwritten))
    let total = units.reduce(0) { $0 + plan.unit($1).items.count }
    let shared = Progress()
    var toWrite = unwritten.filter { $0 % ranks == rank }
    progress(0, total)
    if units.count > 4 * max(1, settings.threads) {
      let watch = ContinuousClock.now
      try read(units[0], FaceReader(recipe), shared)
      shared.next.store(1, ordering: .relaxed)
      begins((ContinuousClock.now - watch).seconds, units.count)
    }
    let workers = DispatchGroup()
    for _ in 0..<min(max(1, settings.threads), units.count) {
      DispatchQueue.global().async(group: workers) {
        do {
          let reader = try FaceReader(recipe)
          while !shared.isStopped.load(ordering: .relaxed) {
            let next = shared.next.add(1, ordering: .relaxed).oldValue
            guard next < units.count else { return }
            try read(units[next], reader, shared)
          }
        } catch {
          shared.failure.withLock { $0 = $0 ?? error }
          shared.isStopped.store(true, ordering: .relaxed)
        }
      }
    }
    var seen = -1
    func look() throws {
      let steps = shared.steps.load(ordering: .relaxed)
      if steps != seen { progress(shared.files.load(ordering: .relaxed), total) }
      seen = steps
      if let error = shared.failure.withLock({ $0 }) { throw error }
      if isCancelled() { throw PackError.cancelled }
    }
    do {
      while workers.wait(timeout: .now() + .milliseconds(20)) == .timedOut {
        try look()
        if staging.isStopped { throw Stopped() }
        try write(&toWrite, shared)
      }
      try look()
      // Other ranks may still read units of this rank's shards.
      while !toWrite.isEmpty {
        try write(&toWrite, shared)
        if toWrite.isEmpty { break }
        try look()
        if staging.isStopped { throw Stopped() }
        usleep(20_000)
      }
    } catch {
      shared.isStopped.store(true, ordering: .relaxed)
      workers.wait()
      if error is Stopped { return }
      throw error
    }
    progress(total, total)
  }

  /// Another rank has stopped and tells why.
  private struct Stopped: Error {}

  private func read(_ unit: Int, _ reader: FaceReader, _ shared: Progress) throws {
    let root = BytePath(settings.input)
    func isStopped() -> Bool { shared.isStopped.load(ordering: .relaxed) }
    let files = try plan.files(of: unit)
    do {
      try PackPart.write(to: staging.part(unit), row: staging.row) { part in
        var done: [PackedItem] = []
        for (item, file) in zip(plan.unit(unit).items, files) {
          let path = file.path(below: root)
          let result = try reader.read(
            path, file, number: item, isStopped: isStopped,
            step: { shared.steps.add(1, ordering: .relaxed) }
          ) { face in
            try part.append(face, of: item)
          }
          if isStopped() { throw Stopped() }
          if settings.isStrict, let reason = result.skipped {
            throw PackError.badData("\(path): \(reason) (--strict)")
          }
          done.append(result)
          shared.files.add(1, ordering: .relaxed)
          shared.steps.add(1, ordering: .relaxed)
        }
        return done
      }
    } catch is Stopped {}
  }

  /// Writes those of the shards in `waiting` of which every unit is there.
  private func write(
    _ waiting: inout [Int], _ shared: Progress
  ) throws {
    while let shard = waiting.first, plan.units(of: shard).allSatisfy(isFinished) {
      let units = plan.units(of: shard)
      var parts: [PackPart] = []
      for unit in units {
        guard let part = try PackPart(at: staging.part(unit), row: staging.row) else {
          throw PackPart.damaged(staging.part(unit))
        }
        parts.append(part)
      }
      if parts.contains(where: { $0.rows > 0 }) {
        let writer = try ShardWriter(
          path: staging.shard(shard), height: settings.size, width: settings.size,
          methodNames: plan.methods, gzip: settings.gzip, hasSources: true, hasPaths: true,
          hasMasks: staging.row.hasMasks, hasOrigins: staging.row.hasOrigins,
          hasLandmarks: staging.row.hasLandmarks, preprocessing: recipe.preprocessing)
        for (unit, part) in zip(units, parts) {
          let (first, files) = (plan.unit(unit).items.lowerBound, try plan.files(of: unit))
          try part.read { number, face in
            guard files.indices.contains(number - first) else { throw PackPart.damaged(part.path) }
            let file = files[number - first]
            try writer.append(
              image: face.pixels, method: file.method, source: file.source,
              path: file.path.description, mask: face.mask, origin: face.origin)
            shared.steps.add(1, ordering: .relaxed)
          }
        }
        try writer.finish()
      }
      try staging.complete(shard, parts.flatMap(\.items), units: Array(units))
      waiting.removeFirst()
    }
  }
}
