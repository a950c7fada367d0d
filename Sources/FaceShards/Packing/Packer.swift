import Dispatch
import Foundation
import Foundations
import Images
import MessagePassing

/// Images in folders to shards: every image is decoded, turned upright, cut to the largest square
/// around its centre and resized with antialiasing.
///
/// Ranks take shards in turn, and threads the images of a shard; what is in which shard, and in which
/// order, is planned before and depends on neither. The shards grow in a hidden folder inside the
/// output folder and get their names only when all are complete, so a run that fails or is ended
/// leaves no shards.
public enum Packer {
  /// Packs; every rank calls it and gets the same report.
  ///
  /// - Parameters:
  ///   - isCancelled: asked now and then; if it answers yes on any rank, packing ends on all with
  ///     ``PackError/cancelled`` and leaves nothing.
  ///   - found: called on rank 0 for every file while the input is listed, before everything else.
  ///   - progress: called with this rank's images done and in all.
  /// - Throws: ``PackError``, `ShardError` and what `ranks` throws; on all ranks if on one, as
  ///   `RankFailure` where another has failed.
  public static func pack(
    _ settings: PackSettings, ranks: some RankGroup = SingleRank(),
    isCancelled: () -> Bool = { false }, found: () -> Void = {},
    progress: (_ done: Int, _ total: Int) -> Void = { _, _ in }
  ) throws -> PackReport {
    let staging = ShardOutput.staging(of: settings.output)
    // Rank 0's, held to the end.
    var output: ShardOutput?
    defer { withExtendedLifetime(output) {} }
    let bytes = try ranks.fromRoot {
      let opened = try ShardOutput(opening: settings.output)
      do {
        let plan = try prepare(settings, opened, found)
        try opened.stage()
        output = opened
        return plan.encoded
      } catch {
        opened.abandon()
        throw error
      }
    }
    let plan = PackPlan(decoding: bytes)
    do {
      let own = try ranks.agreed {
        do {
          return try work(
            settings, plan: plan, staging: staging, ranks: ranks, isCancelled: isCancelled,
            progress: progress)
        } catch {
          // The other ranks look for this between images and stop too.
          _ = FileManager.default.createFile(atPath: stopMark(staging), contents: nil)
          throw error
        }
      }
      var all = PackOutcome()
      for part in try ranks.allGatherUnequal(own.encoded) {
        all.merge(PackOutcome(decoding: part))
      }
      let shards = try ranks.fromRoot {
        try requireBothClasses(plan, all)
        return joined(try settle(plan, done: all, output: output!))
      }
      return summary(plan, all, shards: separated(shards), settings)
    } catch {
      output?.abandon()
      // Whoever has failed ends the others: not before all is tidied up.
      _ = try? ranks.allGatherUnequal([])
      throw error
    }
  }

  // MARK: Before

  private static func prepare(
    _ settings: PackSettings, _ output: ShardOutput, _ found: () -> Void
  ) throws -> PackPlan {
    let listing = try FolderListing(of: BytePath(settings.input), found: found)
    var plan: PackPlan
    do {
      let (files, notes) = try withoutSkipped(listing.files, settings)
      let layout = try PackLayout(LayoutInput(files: files, settings: settings))
      plan = PackPlan(
        try SplitAssignment(layout: layout, shares: settings.split, seed: settings.seed),
        seed: settings.seed, imagesPerShard: settings.imagesPerShard)
      plan.notes = listing.notes + notes + plan.notes
    } catch PackError.badData(let text) where !listing.losses.isEmpty {
      // What is missing may be why.
      throw PackError.badData(([text] + listing.losses).joined(separator: "; also "))
    }
    let old = try output.shards(of: plan.splits)
    if let first = old.first, !settings.overwrites {
      throw PackError.usage(
        "\(settings.output): holds \(old.count) shards already, such as \(first);"
          + " choose another folder, or replace them with --overwrite")
    }
    if let note = output.note { plan.notes.append(note) }
    let others = try output.shards(besides: plan.splits)
    if let first = others.first {
      plan.notes.append(
        "\(settings.output): \(others.count) shards of other splits, such as \(first), are there"
          + " too and stay; remove them if they are of another data set")
    }
    return plan
  }

  /// Takes out what `--skip` names; each pattern must name something, or it is mistyped.
  private static func withoutSkipped(_ files: [BytePath], _ settings: PackSettings) throws -> (
    files: [BytePath], notes: [String]
  ) {
    var files = files
    var notes: [String] = []
    for pattern in settings.skips {
      let before = files.count
      files.removeAll { path in path.withCString { fnmatch(pattern, $0, 0) == 0 } }
      guard files.count < before else {
        throw PackError.usage(
          "--skip '\(pattern)' names no file below \(settings.input); patterns are of paths below it,"
            + " as 'extra/*'" + (files.first.map { " or '\($0)'" } ?? ""))
      }
      notes.append("--skip '\(pattern)': \(before - files.count) files left out")
    }
    return (files, notes)
  }

  // MARK: The work

  private static func work(
    _ settings: PackSettings, plan: PackPlan, staging: String, ranks: some RankGroup,
    isCancelled: () -> Bool, progress: (Int, Int) -> Void
  ) throws -> PackOutcome {
    var own = PackOutcome()
    let mine = plan.shards.indices.filter { $0 % ranks.size == ranks.rank }
    let total = mine.reduce(0) { $0 + plan.shards[$1].range.count }
    let root = BytePath(settings.input)
    let atOnce = 16 * max(1, settings.threads)
    var done = 0
    progress(0, total)
    for index in mine {
      let shard = plan.shards[index]
      let writer = try ShardWriter(
        path: "\(staging)/\(stagedName(index))", height: settings.size, width: settings.size,
        methodNames: plan.methods, gzip: settings.gzip, hasSources: true, hasPaths: true)
      var counts = [Int](repeating: 0, count: plan.methods.count)
      for start in stride(from: shard.range.lowerBound, to: shard.range.upperBound, by: atOnce) {
        let items = start..<min(start + atOnce, shard.range.upperBound)
        let faces = decode(
          items.map { root.appending(plan.items[$0].path.bytes) }, size: settings.size,
          threads: settings.threads)
        for (item, face) in zip(items, faces) {
          switch face {
          case .success(let pixels):
            let place = plan.items[item]
            try writer.append(
              image: pixels, method: place.method, source: plan.sources[place.source],
              path: place.path.description)
            counts[place.method] += 1
          case .failure(let error):
            guard !settings.isStrict else {
              throw PackError.badData("\(error) (--strict)")
            }
            own.skipped.append((item, error.detail))
          }
        }
        done += items.count
        progress(done, total)
        if isCancelled() { throw PackError.cancelled }
        if FileManager.default.fileExists(atPath: stopMark(staging)) { return own }
      }
      if writer.count > 0 {
        try writer.finish()
        own.counts.append((index, counts))
      }
    }
    return own
  }

  /// Decodes, crops and resizes in parallel; results in the order of `paths`.
  private static func decode(_ paths: [BytePath], size: Int, threads: Int)
    -> [Result<[UInt8], ImageError>]
  {
    let faces = UnsafeMutableBufferPointer<Result<[UInt8], ImageError>>.allocate(
      capacity: paths.count)
    faces.initialize(repeating: .success([]))
    defer {
      faces.deinitialize()
      faces.deallocate()
    }
    // Every iteration writes to places of its own.
    nonisolated(unsafe) let out = faces
    let workers = max(1, min(threads, paths.count))
    DispatchQueue.concurrentPerform(iterations: workers) { worker in
      for index in stride(from: worker, to: paths.count, by: workers) {
        do {
          let image = try ImageDecoder.decode(path: paths[index]).centreSquare()
          out[index] = .success(
            ImageResize.bilinear(image, width: size, height: size).pixels)
        } catch let error as ImageError {
          out[index] = .failure(error)
        } catch {
          out[index] = .failure(
            ImageError(
              name: paths[index].description, reason: .inputOutput, detail: "\(error)"))
        }
      }
    }
    return Array(faces)
  }

  private static func stagedName(_ shard: Int) -> String { "\(shard).h5" }

  private static func stopMark(_ staging: String) -> String { staging + "/stopped" }

  // MARK: After

  private static func requireBothClasses(_ plan: PackPlan, _ all: PackOutcome) throws {
    for (split, name) in plan.splits.enumerated() {
      let counts = total(plan, all, split: split)
      for isFake in [false, true]
      where (isFake ? counts.dropFirst().reduce(0, +) : counts[0]) == 0 {
        // Those of this split and class, whatever else can't be decoded.
        let own = all.skipped.filter { skipped in
          (plan.items[skipped.item].method > 0) == isFake
            && plan.shards.contains { $0.split == split && $0.range.contains(skipped.item) }
        }
        let first = own.min { plan.items[$0.item].path < plan.items[$1.item].path }
        throw PackError.badData(
          "none of the \(own.count) \(isFake ? "fake" : "real") images for split \(name) can be"
            + " decoded;"
            + (first.map { " the first is \(plan.items[$0.item].path): \($0.reason)" } ?? ""))
      }
    }
  }

  private static func total(_ plan: PackPlan, _ all: PackOutcome, split: Int) -> [Int] {
    var sum = [Int](repeating: 0, count: plan.methods.count)
    for (shard, counts) in all.counts where plan.shards[shard].split == split {
      for (method, count) in counts.enumerated() { sum[method] += count }
    }
    return sum
  }

  /// Gives the complete shards their names, in place of those that they replace. The paths, in order.
  private static func settle(_ plan: PackPlan, done: PackOutcome, output: ShardOutput) throws
    -> [String]
  {
    var next = [Int](repeating: 0, count: plan.splits.count)
    let shards = done.counts.map { shard, _ in
      let split = plan.shards[shard].split
      defer { next[split] += 1 }
      return (
        staged: stagedName(shard),
        name: plan.splits[split] + String(format: "-%05d.h5", next[split])
      )
    }
    try output.publish(shards, of: plan.splits)
    return shards.map { "\(output.folder)/\($0.name)" }
  }

  private static func summary(
    _ plan: PackPlan, _ all: PackOutcome, shards: [String], _ settings: PackSettings
  ) -> PackReport {
    let splitOfShard = all.counts.map { plan.shards[$0.shard].split }
    return PackReport(
      methods: plan.methods,
      splits: plan.splits.indices.map { split in
        PackReport.Split(
          name: plan.splits[split],
          shards: zip(shards, splitOfShard).filter { $1 == split }.map(\.0),
          counts: total(plan, all, split: split))
      },
      skipped: all.skipped.map { (plan.items[$0.item].path, $0.reason) }
        .sorted { $0.0 < $1.0 }
        .map { PackReport.Skipped(path: $0.0.description, reason: $0.1) },
      notes: plan.notes)
  }

  // MARK: Between ranks

  private static func joined(_ texts: [String]) -> [UInt8] {
    Array(texts.joined(separator: "\0").utf8)
  }

  private static func separated(_ bytes: [UInt8]) -> [String] {
    bytes.split(separator: 0).map { String(decoding: $0, as: UTF8.self) }
  }
}
