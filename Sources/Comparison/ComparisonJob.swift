import Checkpoints
import Configuration
import Evaluation
import FaceShards
import ForgeryMining
import Foundation
import Foundations
import Images
import MessagePassing
import Networks
import Tensors
import Training

/// Trains every variant of a comparison and measures it.
///
/// Each variant is an ordinary run in `runs` below the comparison's folder. A comparison that was
/// stopped or killed goes on where it was: a finished training is not made again, an unfinished one
/// continues from its newest checkpoint, and what was measured is kept as `evaluation.json` in the
/// run folder for as long as weights and test data are the same.
public final class ComparisonJob {
  public struct Settings: Sendable {
    /// `augmentation.method` of the variants.
    public var methods = ErasingMethodName.allCases
    /// Networks (`model.name`) to train each with; empty: that of the configuration.
    public var models: [DetectorName] = []
    /// Repetitions, with `run.seed` and the numbers after it.
    public var seeds = 3
    /// Manipulation methods to leave out in turn.
    public var leftOut: [String] = []
    /// Leave out each that there is.
    public var leavesOutEach = false
    /// Patterns of the test shards; empty: `data.test`.
    public var data: [String] = []
    /// The comparison's folder; nil: the folder of the configuration's run.
    public var output: String?
    /// Continue what is in the folder.
    public var resume = false

    public init() {}
  }

  public enum Outcome {
    /// On rank 0 with what was found, on the others with nil.
    case finished(Comparison?)
    /// Asked to stop; what was done is saved.
    case stopped
  }

  /// No test shards were named.
  struct MissingData: ReportableError {
    var description: String {
      "a comparison needs test shards: set data.test in the configuration, or give "
        + "--data 'd/test-*.h5'"
    }
    var exitStatus: ExitStatus { .badData }
  }

  /// There are not so many seeds after the first.
  struct NoMoreSeeds: ReportableError {
    let seed: Int
    var description: String {
      "run.seed: there are too few whole numbers after \(seed) for --seeds; choose a smaller one"
    }
    var exitStatus: ExitStatus { .badData }
  }

  /// No test image was made by the method that is to be left out.
  struct NotTested: ReportableError {
    let method: String
    let file: String
    var description: String {
      "\(file): neither here nor in the other test shards is an image by '\(printable(method))', "
        + "so leaving it out of training (--leave-out) would show nothing"
    }
    var exitStatus: ExitStatus { .badData }
  }

  /// The folder of a comparison.
  public let output: String
  private let plan: ComparisonPlan
  private let configuration: Configuration
  private let models: [DetectorName]
  private let resume: Bool
  private let patterns: [String]
  private let test: ShardSet
  private let testDigest: String
  private let communicator: Communicator
  private let workers: WorkerPool
  private let observers: () -> [any TrainingObserver]
  private let say: (String) -> Void
  /// Seconds that variants of each network and augmentation method took, from beginning to end.
  private var measured: [String: [Double]] = [:]

  /// Opens the data and checks what can be checked before hours of training. Collective.
  ///
  /// - Parameters:
  ///   - configuration: what all variants have in common.
  ///   - observers: made anew for each training, and told how it goes.
  ///   - say: told what the user should know, a line at a time; only rank 0's is used.
  /// - Throws: what reading shards throws, `RunFolder.Refusal`, errors of settings that don't fit the
  ///   data, `MPIError`.
  public init(
    _ configuration: Configuration, _ settings: Settings, communicator: Communicator,
    observers: @escaping () -> [any TrainingObserver] = { [] }, say: @escaping (String) -> Void
  ) throws {
    StopRequest.watch()
    self.communicator = communicator
    self.configuration = configuration
    self.observers = observers
    self.say = communicator.isRoot ? say : { _ in }
    models = settings.models
    resume = settings.resume
    output = settings.output ?? configuration.run.folder
    patterns = settings.data.isEmpty ? configuration.data.test : settings.data
    guard !patterns.isEmpty else { throw MissingData() }
    guard configuration.run.seed <= Int.max - settings.seeds else {
      throw NoMoreSeeds(seed: configuration.run.seed)
    }
    try ComparisonPlan.check(configuration, methods: settings.methods, models: settings.models)
    test = try SharedShards.open(patterns, communicator: communicator).set
    testDigest = try Self.digest(of: test)
    workers = WorkerPool(
      threads: try ThreadShare.threads(configuration.training.threads, communicator))
    try test.checkFits(crop: configuration.data.crop)
    plan = ComparisonPlan(
      configuration, methods: settings.methods, seeds: settings.seeds,
      leftOut: try Self.leftOut(settings, configuration, test, communicator),
      models: settings.models, output: output)
    guard communicator.isRoot else { return }
    try DurableFile.makeFolder("\(output)/runs")
    let earlier = try FileManager.default.contentsOfDirectory(atPath: "\(output)/runs")
    guard resume || earlier.isEmpty else {
      throw RunFolder.Refusal(
        description: "\(printable(output)) already holds a comparison: continue it with --resume, "
          + "or choose another --output")
    }
  }

  /// The manipulation methods to leave out: those asked for, which training and test data must have.
  private static func leftOut(
    _ settings: Settings, _ configuration: Configuration, _ test: ShardSet,
    _ communicator: Communicator
  ) throws -> [String] {
    guard settings.leavesOutEach || !settings.leftOut.isEmpty else { return [] }
    // Ranks may see shards of their own.
    let mine = try ShardSet(patterns: configuration.data.train).methodNames
    let trained = Set(
      try communicator.allGather(JSON.array(mine.map { .text($0) }).line()).flatMap {
        try JSON(parsing: Array($0.utf8)).arrayValue?.compactMap(\.textValue) ?? []
      })
    let tested = Set(zip(test.labels, test.methods).filter { $0.0 != 0 }.map { $0.1 })
    let names = test.methodNames.indices.filter { tested.contains(UInt8($0)) }.map {
      test.methodNames[$0]
    }
    if settings.leavesOutEach {
      return names.filter {
        trained.contains($0) && !configuration.data.excludeMethods.contains($0)
      }
    }
    _ = try MethodExclusion(settings.leftOut, among: trained.sorted(), setting: "--leave-out")
    for method in settings.leftOut where !names.contains(method) {
      throw NotTested(method: method, file: test.shards[0].path)
    }
    var seen: Set<String> = []
    return settings.leftOut.filter { seen.insert($0).inserted }
  }

  /// SHA-256 of what tells a data set from others: names, sizes, labels and some images of its shards.
  private static func digest(of set: ShardSet) throws -> String {
    let lines = try set.identities().map {
      "\($0.name) \($0.digest) \($0.count) \($0.height) \($0.width) \($0.methodNames)\n"
    }
    return SHA256.hexadecimal(of: Array(lines.joined().utf8))
  }

  // MARK: All variants

  /// Trains and measures what is not done yet. Collective.
  ///
  /// - Throws: what training and evaluating throw.
  public func run() throws -> Outcome {
    if resume, communicator.isRoot { rememberMultiplies() }
    var results: [VariantResult] = []
    for (place, variant) in plan.variants.enumerated() {
      let title = "variant \(place + 1) of \(plan.variants.count)"
      let watch = Stopwatch()
      let wasMeasured =
        try communicator.broadcast(
          communicator.isRoot && isTrained(variant) && earlierResult(variant) != nil ? 1 : 0) == 1
      if !wasMeasured {
        let remaining = Self.remaining(
          plan.variants[place...].map(Self.kind), measured: measured)
        say(
          "\(title): \(Self.describe(variant))"
            + (remaining.map { "; about \(ProgressLine.duration($0)) left" } ?? ""))
        guard try train(variant, title: title) else { return .stopped }
        do {
          try measure(variant)
        } catch is StopRequest.Interruption {
          say("stopped on request after \(variant.name) was trained; continue with --resume")
          return .stopped
        }
        measured[Self.kind(variant), default: []].append(watch.seconds)
      } else {
        say("\(title): \(Self.describe(variant)) is done already")
      }
      guard communicator.isRoot else { continue }
      guard let result = try earlierResult(variant) else {
        throw FileError(operation: "read", path: evaluationPath(variant), code: ENOENT)
      }
      results.append(result)
    }
    guard communicator.isRoot else { return .finished(nil) }
    var comparison = Comparison(results, setting: setting(results), data: patterns)
    try testUncertainty()?.add(to: &comparison)
    try JobOutput.write(comparison, to: "\(output)/comparison.json")
    return .finished(comparison)
  }

  /// Variants that are still to be trained multiply as the others did. Rank 0's.
  private func rememberMultiplies() {
    for variant in plan.variants {
      guard let state = try? Checkpoint(readingStateOf: latest(variant)).state else { continue }
      SettledMultiplies.remember(.init(state, environment: nil))
    }
  }

  /// What the scores of all variants tell of other test sources; nil where the test images don't name their
  /// sources. Rank 0's.
  private func testUncertainty() throws -> TestUncertainty? {
    let sources = try test.readSources()
    guard !sources.contains("") else {
      say(
        "warning: not every test image names its source, so there are no intervals over test sources, and "
          + "no tests")
      return nil
    }
    var scores: [ComparisonPlan.Variant: ScoredSamples] = [:]
    for variant in plan.variants where variant.leftOut == nil {
      scores[variant] = ScoredSamples(
        scores: try ScoresTable(reading: scoresPath(variant)).scores, labels: Array(test.labels),
        methods: test.methods.map { Int($0) }, methodNames: test.methodNames, sources: sources)
    }
    return TestUncertainty(scores: scores, workers: workers)
  }

  private func setting(_ results: [VariantResult]) -> Comparison.Setting {
    let training = configuration.training
    return Comparison.Setting(
      model: models.isEmpty
        ? configuration.model.form.description
        : models.map(\.rawValue).joined(separator: ","),
      crop: configuration.data.crop, steps: results[0].step,
      globalBatch: training.batchPerRank * training.accumulate * communicator.size,
      probability: configuration.augmentation.probability)
  }

  /// Seconds that variants of these kinds (see ``kind(_:)``) will take, by what variants took so far:
  /// those of the same kind, or all where there are none. Nil before the first is done.
  static func remaining(_ kinds: [String], measured: [String: [Double]]) -> Double? {
    guard let all = MeanAndDeviation(measured.values.flatMap { $0 }) else { return nil }
    return kinds.map { MeanAndDeviation(measured[$0] ?? [])?.mean ?? all.mean }.reduce(0, +)
  }

  /// Variants of one network and augmentation method take about as long as one another.
  private static func kind(_ variant: ComparisonPlan.Variant) -> String {
    (variant.model.map { "\($0), " } ?? "") + variant.method
  }

  private static func describe(_ variant: ComparisonPlan.Variant) -> String {
    "\(kind(variant)), seed \(variant.seed)"
      + (variant.leftOut.map { ", without \(printable($0))" } ?? "")
  }

  // MARK: One variant

  private func folder(_ variant: ComparisonPlan.Variant) -> String {
    plan.configuration(of: variant).run.folder
  }

  private func evaluationPath(_ variant: ComparisonPlan.Variant) -> String {
    "\(folder(variant))/evaluation.json"
  }

  private func scoresPath(_ variant: ComparisonPlan.Variant) -> String {
    "\(folder(variant))/scores.csv"
  }

  private func latest(_ variant: ComparisonPlan.Variant) -> String {
    "\(folder(variant))/checkpoints/latest"
  }

  /// Whether a variant's training has come to its end with the settings that it would have now. Where
  /// this can't be told by its newest checkpoint alone, the training finds out.
  private func isTrained(_ variant: ComparisonPlan.Variant) -> Bool {
    let wanted = plan.configuration(of: variant).resolved(threads: workers.count)
    guard resume, let steps = wanted.training.steps,
      let state = try? Checkpoint(opening: latest(variant)).state
    else { return false }
    return state.step == steps && !state.hasWorkPending
      && state.configurationDigest == wanted.digest && state.ranks == communicator.size
  }

  /// Trains a variant, or what is missing of it.
  /// - Returns: false if it was asked to stop.
  private func train(_ variant: ComparisonPlan.Variant, title: String) throws -> Bool {
    if try communicator.broadcast(communicator.isRoot && isTrained(variant) ? 1 : 0) == 1 {
      return true
    }
    let trainer = try Trainer(
      plan.configuration(of: variant), resume: resume, communicator: communicator,
      observers: observers(), label: "\(title), step", say: say)
    switch try trainer.run() {
    case .finished: return true
    case .stopped: return false
    }
  }

  /// What was measured before of the weights that the variant has now, on the same data. Rank 0's.
  private func earlierResult(_ variant: ComparisonPlan.Variant) throws -> VariantResult? {
    guard let bytes = FileManager.default.contents(atPath: evaluationPath(variant)),
      let result = try? JSONDecoder().decode(VariantResult.self, from: bytes),
      let checkpoint = try? Checkpoint(readingStateOf: latest(variant)),
      variant.leftOut != nil || FileManager.default.fileExists(atPath: scoresPath(variant))
    else { return nil }
    let isSame =
      result.variant == variant && result.data == testDigest
      && result.weights == checkpoint.files[Checkpoint.modelName]
    return isSame ? result : nil
  }

  /// Scores of the test images as they are, as `rfm evaluate` writes them.
  private func writeScores(_ scored: ScoredSet, of variant: ComparisonPlan.Variant) throws {
    try ScoresTable.write(
      scored, of: test, sources: test.readSources(), to: scoresPath(variant))
  }

  /// Measures a trained variant and writes what was found into its run folder. Collective.
  ///
  /// A variant without one manipulation method is tested on the images as they are alone.
  ///
  /// - Throws: `StopRequest.Interruption` on all ranks if one was asked to stop before it was done.
  private func measure(_ variant: ComparisonPlan.Variant) throws {
    let checkForStop = { [communicator] in try StopRequest.check(communicator) }
    try checkForStop()
    RankStatus.enter(.scoring)
    let loaded = try LoadedDetector(opening: latest(variant), communicator: communicator) {
      say("\($0)")
    }
    let pass = DatasetPass(
      loaded, batch: configuration.evaluation.batch, communicator: communicator, workers: workers)
    let samples = Array(0..<test.count)
    let isWhole = variant.leftOut == nil
    let conditions: [Degradation?] =
      [nil] + (isWhole ? ComparisonConditions.degradations.map { Optional($0) } : [])
    let progress =
      communicator.isRoot
      ? ProgressLine(
        "testing \(variant.name), image", total: conditions.count * test.count,
        items: ("images", 1)) : nil
    defer { progress?.finish() }
    var metrics: EvaluationMetrics?
    var degraded: [String: EvaluationMetrics] = [:]
    for (place, degradation) in conditions.enumerated() {
      pass.degradations = degradation.map { [$0] } ?? []
      if let logits = try pass.logits(test, samples, afterBatch: checkForStop) {
        let scored = try ScoredSet(logits: logits, set: test, sources: nil)
        if let degradation {
          degraded[degradation.description] = scored.metrics
        } else {
          metrics = scored.metrics
          if isWhole { try writeScores(scored, of: variant) }
        }
        progress?.update((place + 1) * test.count)
      }
    }
    pass.degradations = []
    var localisation: [String: VariantResult.Localisation] = [:]
    if isWhole, test.hasMasks, test.labels.contains(1) {
      let fakes = samples.filter { test.labels[$0] != 0 }
      var scored = 0
      for kind in pass.kinds {
        let found = try EvaluationJob.localise(
          kind, pass, test, fakes, communicator: communicator, afterBatch: checkForStop)
        localisation[kind.rawValue] = VariantResult.Localisation(found)
        scored = max(scored, found.overall.images)
      }
      let notes = try EvaluationJob.maskNotes(test, scored: scored, communicator: communicator)
      for note in notes { say("warning: \(note)") }
    }
    guard let metrics, let checkpoint = loaded.checkpoint else { return }
    try JobOutput.write(
      VariantResult(
        variant: variant, step: checkpoint.state.step,
        weights: checkpoint.files[Checkpoint.modelName] ?? "", data: testDigest, metrics: metrics,
        degraded: degraded, localisation: localisation),
      to: evaluationPath(variant))
  }
}
