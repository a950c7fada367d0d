import Dispatch
import Foundation
import Foundations
import Images
import MessagePassing

/// Images in folders to shards: every image is decoded, turned upright, cut to the largest square
/// around its centre and resized with antialiasing.
///
/// Ranks take units of files in turn (``PackUnit``), several threads each, and write shards as soon as
/// their units are there; what is in which shard, and in which order, is planned before and depends on
/// neither. Everything grows in a hidden folder inside the output folder (``PackStaging``), and the shards
/// get their names only when all are complete. A run that is ended leaves no shards, but what it has
/// finished: the next with the same plan goes on from there and makes the same shards.
public enum Packer {
  /// Packs; every rank calls it and gets the same report.
  ///
  /// - Parameters:
  ///   - isCancelled: asked now and then; if it answers yes on any rank, packing ends on all with
  ///     ``PackError/cancelled``.
  ///   - found: called on rank 0 for every file while the input is listed, before everything else.
  ///   - announce: called on rank 0 with lines that say what will be done, and how long it may take.
  ///   - progress: called with this rank's files done and in all.
  /// - Throws: ``PackError``, `ShardError` and what `ranks` throws; on all ranks if on one, as
  ///   `RankFailure` where another has failed.
  public static func pack(
    _ settings: PackSettings, ranks: some RankGroup = SingleRank(),
    isCancelled: () -> Bool = { false }, found: () -> Void = {},
    announce: (String) -> Void = { _ in },
    progress: (_ done: Int, _ total: Int) -> Void = { _, _ in }
  ) throws -> PackReport {
    let folder = ShardOutput.staging(of: settings.output)
    // Rank 0's, held to the end.
    var output: ShardOutput?
    defer { withExtendedLifetime(output) {} }
    let bytes = try ranks.fromRoot {
      let opened = try ShardOutput(opening: settings.output)
      do {
        let (plan, staged, recipe) = try stage(settings, opened, found)
        var lines = [PackForecast(plan.contents, recipe).line]
        switch staged {
        case .new: break
        case .resumed:
          let kept = try PackStaging(folder: folder, row: recipe.row)
            .settle(plan, root: BytePath(settings.input))
          lines.append("going on: \(kept) of \(plan.contents.count) files were read before")
        case .replaced:
          lines.append(
            "an unfinished pack of other files or with other settings is left in"
              + " \(settings.output); it is begun anew")
        }
        lines.forEach(announce)
        output = opened
        return plan.encoded
      } catch {
        if !keepsWork(error, in: folder) { opened.abandon() }
        throw error
      }
    }
    let plan = StagedPlan(decoding: bytes, in: folder)
    do {
      let staging = try ranks.agreed {
        let recipe = try PackRecipe(settings, plan.contents)
        let staging = PackStaging(folder: folder, row: recipe.row)
        do {
          let work = PackWork(
            recipe: recipe, plan: plan, staging: staging, rank: ranks.rank, ranks: ranks.size)
          try work.run(
            isCancelled: isCancelled,
            begins: { seconds, units in
              guard ranks.rank == 0 else { return }
              let time = seconds * Double(units) / Double(max(1, settings.threads))
              announce(
                "about \(ProgressLine.duration(time)) at the pace of the first"
                  + " \(plan.contents.beginsWithVideo ? "video" : "files")")
            }, progress: progress)
        } catch {
          // The other ranks look for this between units and stop too.
          staging.stop()
          throw error
        }
        return staging
      }
      let bytes = try ranks.fromRoot {
        let done = try outcome(plan, staging)
        try requireBothClasses(plan, done)
        let shards = try settle(plan, done: done, output: output!)
        return try report(plan, done, shards: shards).encoded
      }
      return try PackReport(decoding: bytes)
    } catch {
      if !keepsWork(error, in: folder) { output?.abandon() }
      // Whoever has failed ends the others: not before all is tidied up.
      _ = try? ranks.allGatherUnequal([])
      throw error
    }
  }

  // MARK: Before

  /// Plans, and notes the plan in the folder where shards grow. What planning holds is gone after it.
  static func stage(
    _ settings: PackSettings, _ output: ShardOutput, _ found: () -> Void
  ) throws -> (StagedPlan, ShardOutput.Staged, PackRecipe) {
    let plan = try prepare(settings, output, found)
    let recipe = try PackRecipe(settings, PackContents(plan))
    let staged = try output.stage(for: identity(of: plan, recipe))
    return (try StagedPlan(plan, in: output.staging), staged, recipe)
  }

  static func prepare(
    _ settings: PackSettings, _ output: ShardOutput, _ found: () -> Void
  ) throws -> PackPlan {
    let listing = try FolderListing(of: BytePath(settings.input), found: found)
    var plan: PackPlan
    do {
      let (files, notes) = try withoutSkipped(listing.files, settings)
      let layout = try PackLayout(LayoutInput(files: files, settings: settings))
      plan = PackPlan(
        try SplitAssignment(layout: layout, shares: settings.split, seed: settings.seed),
        seed: settings.seed, imagesPerShard: settings.imagesPerShard,
        framesPerVideo: settings.framesPerVideo)
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

  /// Tells apart what would become different shards.
  static func identity(of plan: PackPlan, _ recipe: PackRecipe) -> String {
    var digest = SHA256()
    func add(_ list: [String]) {
      digest.update(Array("\(list.count) ".utf8))
      for text in list { digest.update(Array(text.utf8) + [0]) }
    }
    for list in [plan.methods, plan.splits, plan.notes] { add(list) }
    for shard in plan.shards { add(["\(shard.split)", "\(shard.range.upperBound)"]) }
    for unit in plan.units { digest.update(PlannedFile.encode(plan.files(unit.items))) }
    digest.update(Array(recipe.identity.utf8))
    return digest.hexadecimal()
  }

  /// Whether what is finished stays after this error, so that the next run goes on: what is wrong with the
  /// data is mended in the data, and makes another plan.
  private static func keepsWork(_ error: any Error, in folder: String) -> Bool {
    switch ExitStatus(ending: error) {
    case .stopped, .inputOutput: PackStaging.holdsWork(folder)
    default: false
    }
  }

  // MARK: After

  /// What became of all files.
  private static func outcome(_ plan: StagedPlan, _ staging: PackStaging) throws -> PackOutcome {
    var done = PackOutcome(plan)
    for shard in plan.shards.indices {
      guard let items = staging.completed(shard) else {
        throw ShardError(
          file: staging.shard(shard), reason: "it is gone while it was waiting for the others",
          isInputOutput: true)
      }
      try done.add(items, shard: shard, of: plan)
    }
    return done
  }

  private static func requireBothClasses(_ plan: StagedPlan, _ all: PackOutcome) throws {
    for (split, name) in plan.splits.enumerated() {
      let counts = all.counts[split]
      for isFake in [false, true]
      where (isFake ? counts.dropFirst().reduce(0, +) : counts[0]) == 0 {
        // Those of this split and class, whatever else can't be decoded.
        let own = all.skipped.filter { $0.split == split && ($0.file.method > 0) == isFake }
        let first = own.min { $0.file.path < $1.file.path }
        throw PackError.badData(
          "none of the \(own.count) \(isFake ? "fake" : "real") files for split \(name) give a face;"
            + (first.map { " the first is \($0.file.path): \($0.reason)" } ?? ""))
      }
    }
  }

  /// Gives the complete shards their names, in place of those that they replace. The paths, in order.
  private static func settle(_ plan: StagedPlan, done: PackOutcome, output: ShardOutput) throws
    -> [String]
  {
    var next = [Int](repeating: 0, count: plan.splits.count)
    let shards = done.shards.map { shard in
      let split = plan.shards[shard].split
      defer { next[split] += 1 }
      return (
        staged: PackStaging.shardName(shard),
        name: plan.splits[split] + String(format: "-%05d.h5", next[split])
      )
    }
    try output.publish(shards, of: plan.splits)
    return shards.map { "\(output.folder)/\($0.name)" }
  }

  /// - Parameter shards: paths of those in `done`.
  private static func report(_ plan: StagedPlan, _ done: PackOutcome, shards: [String])
    -> PackReport
  {
    func told(_ lines: [(path: BytePath, text: String)]) -> [PackReport.Skipped] {
      lines.sorted { $0.path < $1.path }
        .map { PackReport.Skipped(path: $0.path.description, reason: $0.text) }
    }
    var notes = plan.notes
    notes += told(done.notes.map { ($0.path, $0.note) }).map { "\($0.path): \($0.reason)" }
    let faceless = done.faceless
    if faceless.videos > 0 {
      notes.append(
        "\(faceless.frames) of \(faceless.of) frames of \(faceless.videos) videos show no face, such as"
          + " some of \(faceless.example); they are not packed")
    }
    return PackReport(
      methods: plan.methods,
      splits: plan.splits.indices.map { split in
        PackReport.Split(
          name: plan.splits[split],
          shards: zip(shards, done.shards).filter { plan.shards[$1].split == split }.map(\.0),
          counts: done.counts[split])
      },
      skipped: told(done.skipped.map { ($0.file.path, $0.reason) }), files: plan.contents.count,
      notes: notes)
  }
}
