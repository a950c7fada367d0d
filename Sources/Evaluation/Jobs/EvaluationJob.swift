import Checkpoints
import FaceShards
import ForgeryMining
import Foundations
import Images
import MessagePassing
import Tensors

/// Scores the images of shards and measures: `metrics.json` and `scores.csv`; of several data sets in a
/// folder each, and `data-sets.json`.
public struct EvaluationJob {
  public struct Settings: Sendable {
    /// One data set without a name, or several with theirs (`EvaluationData.sets`).
    public var data: [EvaluationData]
    /// Folder, made if it isn't there.
    public var output: String
    /// What is done to the images first, one after another.
    public var degradations: [Degradation] = []
    /// Also measure where the detector looks, if all shards have masks.
    public var localises = true
    /// Images of a rank that are run at a time.
    public var batch = 32
    /// Gives figures intervals.
    public var bootstrap: SourceBootstrap?
    /// Images that name no source are independent of one another.
    public var imagesAreIndependent = false
    /// A `scores.csv` of another detector on the same images, of the one data set, to compare AUCs with.
    public var against: String?

    public init(data: [EvaluationData], output: String) {
      self.data = data
      self.output = output
    }
  }

  /// What was found, on rank 0.
  public enum Outcome {
    case single(Report)
    case several(DataSetsReport)
  }

  /// Localisation of one kind of map, over the fake images that have a mask.
  public struct Localisation: Encodable, Sendable {
    public var overall: LocalisationSummary
    public var methods: [String: LocalisationSummary]

    public init(overall: LocalisationSummary, methods: [String: LocalisationSummary]) {
      self.overall = overall
      self.methods = methods
    }
  }

  /// What `metrics.json` holds.
  public struct Report: Encodable {
    public let metrics: EvaluationMetrics
    public let loss: Double
    public let images: Int
    /// What was done to the images first.
    public let degradations: [Degradation]
    /// By kind of map; empty where shards have no masks.
    public let localisation: [String: Localisation]
    /// Figures of whole videos; nil where images are not known to be frames of videos.
    public let videos: VideoMetrics?
    /// How intervals were made; nil where there are none.
    public let bootstrap: SourceBootstrap?
    /// How far probabilities can be believed.
    public let reliability: Reliability
    /// Against another detector on the same images.
    public let against: AUCComparison?
    /// SHA-256 of the weights that were measured; nil where they are no checkpoint's.
    public let weights: String?
    /// What should be known, a line each; not written.
    public let notes: [String]
    /// The images; not written.
    let samples: ScoredSamples
    let videoPlaces: VideoPlaces?

    private enum Keys: String, CodingKey {
      case loss, images, degradations, localisation, videos, bootstrap, against
      case reliability = "calibration"
      case weights = "weights_sha256"
    }

    func videoSamples(median: Bool) -> ScoredSamples? {
      videoPlaces.map { samples.byVideo($0, median: median) }
    }

    public func encode(to encoder: any Encoder) throws {
      try metrics.encode(to: encoder)
      var container = encoder.container(keyedBy: Keys.self)
      try container.encode(loss, forKey: .loss)
      try container.encode(images, forKey: .images)
      if !degradations.isEmpty {
        try container.encode(degradations.map(\.description), forKey: .degradations)
      }
      if !localisation.isEmpty { try container.encode(localisation, forKey: .localisation) }
      try container.encode(reliability, forKey: .reliability)
      try container.encodeIfPresent(videos, forKey: .videos)
      try container.encodeIfPresent(bootstrap, forKey: .bootstrap)
      try container.encodeIfPresent(against, forKey: .against)
      try container.encodeIfPresent(weights, forKey: .weights)
    }
  }

  /// Collective. Rank 0 writes and gets what was found, the others nil.
  ///
  /// - Parameter warn: told of what the user should know, a line at a time.
  /// - Throws: what reading shards throws, `EvaluationData.Refusal`, ``UnknownSources``, what comparing
  ///   with another detector throws, `MetricsError`, `FileError`, `MPIError`.
  public static func run(
    _ loaded: LoadedDetector, _ settings: Settings, communicator: Communicator,
    workers: WorkerPool, warn: (String) -> Void = { _ in }
  ) throws -> Outcome? {
    // All is opened, and refused, before hours of work.
    let inputs = try settings.data.enumerated().map { place, data in
      try Input(place, data, loaded, settings, communicator: communicator, warn: warn)
    }
    for input in inputs { try JobOutput.makeFolder(input.output, communicator) }
    let pass = DatasetPass(
      loaded, batch: settings.batch, communicator: communicator, workers: workers)
    pass.degradations = settings.degradations
    let bootstrap = settings.bootstrap.map { EvaluationMetrics.Bootstrap($0, workers: workers) }
    var reports: [DataSetsReport.Set] = []
    for input in inputs {
      guard
        let report = try measure(
          input, pass, settings, loaded, bootstrap: bootstrap?.of(set: input.place),
          communicator: communicator)
      else { continue }
      reports.append(DataSetsReport.Set(name: input.data.name ?? "", report: report))
    }
    guard communicator.isRoot else { return nil }
    guard inputs[0].data.name != nil else { return .single(reports[0].report) }
    let found = DataSetsReport(reports, bootstrap: bootstrap)
    try JobOutput.write(found, to: "\(settings.output)/data-sets.json")
    return .several(found)
  }

  /// A data set that is open. Texts are rank 0's.
  private struct Input {
    let place: Int
    let data: EvaluationData
    let set: ShardSet
    let output: String
    let sources: [String]
    let other: ScoresTable?

    /// Collective.
    init(
      _ place: Int, _ data: EvaluationData, _ loaded: LoadedDetector, _ settings: Settings,
      communicator: Communicator, warn: (String) -> Void
    ) throws {
      let set = try loaded.open(data.patterns, communicator: communicator, tell: warn)
      try data.check(set)
      (sources, other) = try communicator.agreed { () throws -> ([String], ScoresTable?) in
        guard communicator.isRoot else { return ([], nil) }
        let sources = try set.readSources()
        let other = try settings.against.map { try ScoresTable(reading: $0) }
        if settings.bootstrap != nil || other != nil, !settings.imagesAreIndependent {
          try UnknownSources.check(sources, data: data.title)
        }
        return (sources, other)
      }
      self.place = place
      self.data = data
      self.set = set
      output = data.name.map { "\(settings.output)/\($0)" } ?? settings.output
    }
  }

  /// Scores one data set and writes what was found. Collective; rank 0 gets it.
  private static func measure(
    _ input: Input, _ pass: DatasetPass, _ settings: Settings, _ loaded: LoadedDetector,
    bootstrap: EvaluationMetrics.Bootstrap?, communicator: Communicator
  ) throws -> Report? {
    let (set, temperature) = (input.set, loaded.calibration?.temperature)
    let prefix = input.data.name.map { "\($0), " } ?? ""
    let mine = pass.part(Array(0..<set.count)).count
    RankStatus.enter(.scoring)
    var progress = communicator.isRoot ? ProgressLine("\(prefix)image", total: mine) : nil
    let logits = try pass.logits(set, Array(0..<set.count)) { progress?.update($0) }
    progress?.finish()

    var localisation: [String: Localisation] = [:]
    if settings.localises, set.hasMasks, set.labels.contains(1) {
      for kind in pass.kinds {
        let fakes = (0..<set.count).filter { set.labels[$0] != 0 }
        progress =
          communicator.isRoot
          ? ProgressLine("\(prefix)\(kind.rawValue)", total: pass.part(fakes).count) : nil
        localisation[kind.rawValue] = try localise(
          kind, pass, set, fakes, communicator: communicator
        ) { progress?.update($0) }
        progress?.finish()
      }
    }
    var notes: [String] = []
    if settings.localises, set.labels.contains(1) {
      notes = try maskNotes(
        set, scored: localisation.values.map(\.overall.images).max(), communicator: communicator)
    }

    guard let logits else { return nil }
    let scored = try ScoredSet(
      logits: logits, set: set, sources: input.sources, temperature: temperature,
      bootstrap: bootstrap)
    let places = try VideoPlaces.known(of: set, sources: input.sources)
    if places == nil, input.data.name != nil {
      notes.append(
        "\(input.data.title): its images are not all known to be frames of videos, so it has no figures "
          + "of videos: pack the videos themselves, or frames named VIDEO/0001.png")
    }
    let videos = try places.map { places in
      try VideoMetrics(
        mean: .init(scored.samples.byVideo(places, median: false), bootstrap: bootstrap),
        median: .init(scored.samples.byVideo(places, median: true), bootstrap: bootstrap))
    }
    if bootstrap != nil { notes += SourceBootstrap.notes(scored.samples, of: input.data.title) }
    let against = try input.other.map {
      try AUCComparison(
        scored, of: set, sources: input.sources, with: $0, path: settings.against ?? "")
    }
    let report = Report(
      metrics: scored.metrics, loss: scored.loss, images: set.count,
      degradations: settings.degradations, localisation: localisation, videos: videos,
      bootstrap: settings.bootstrap,
      reliability: Reliability(
        probabilities: scored.scores, labels: scored.labels, temperature: temperature),
      against: against, weights: loaded.weightsDigest, notes: notes, samples: scored.samples,
      videoPlaces: places)
    try JobOutput.write(report, to: "\(input.output)/metrics.json")
    try ScoresTable.write(
      scored, of: set, sources: input.sources, to: "\(input.output)/scores.csv")
    return report
  }
}
