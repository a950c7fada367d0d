import Checkpoints
import Evaluation
import FaceShards
import Foundations
import MessagePassing
import Tensors

/// Writes the report of a run: what its folder records, and what its detector does on images.
///
/// Rank 0 alone reads the run folder; the others get the detector from it and take their part of the
/// images. The time is bounded: of a large set an even part is taken, and the page says so.
public struct ReportJob {
  public struct Settings: Sendable {
    /// The run folder, `runs/NAME`.
    public var run: String
    /// `best`, `latest` or a checkpoint folder; nil: the best, or else the latest.
    public var checkpoint: String?
    /// Patterns of shards; none: the run's validation shards.
    public var data: [String] = []
    /// A `data-sets.json` of `rfm evaluate`, whose figures the model's card shows too.
    public var dataSets: String?
    /// The page; nil: `report.html` in the run folder.
    public var output: String?
    /// Images of a rank that are run at a time.
    public var batch = 32
    /// Images that are scored, about, and those of them whose maps are taken.
    public var scored = 4096
    public var mapped = 1024

    public init(run: String) { self.run = run }
  }

  /// Asked to stop before the page was written.
  public struct Stopped: ReportableError {
    public var description: String { "stopped on request before the report was written" }
    public var exitStatus: ExitStatus { .stopped }
  }

  private let settings: Settings
  private let communicator: Communicator
  private let workers: WorkerPool
  private let isStopped: () -> Bool
  /// Rank 0's.
  private var contents: ReportContents?

  /// Collective. Whatever fails on one rank fails on all, at the same place: a caller may catch it
  /// and go on.
  ///
  /// - Parameters:
  ///   - isStopped: asked now and then whether to give up.
  ///   - warn: told of what the user should know, a line at a time; only rank 0's is used.
  /// - Returns: the path of the page, on every rank.
  /// - Throws: what reading shards and checkpoints throws where they were asked for by name,
  ///   `FileError`, ``Stopped``, `MPIError`.
  @discardableResult
  public static func run(
    _ settings: Settings, communicator: Communicator, workers: WorkerPool,
    isStopped: @escaping () -> Bool = { false }, warn: (String) -> Void
  ) throws -> String {
    var job = ReportJob(
      settings: settings, communicator: communicator, workers: workers, isStopped: isStopped,
      contents: nil)
    return try job.run(warn: warn)
  }

  private mutating func run(warn: (String) -> Void) throws -> String {
    RankStatus.enter(.reporting)
    let settings = settings
    let isRoot = communicator.isRoot
    let reading = try communicator.agreed {
      guard isRoot else { return nil as RunReading? }
      var reading = try RunReading(settings.run, checkpoint: settings.checkpoint, warn: warn)
      // Refused before minutes of work.
      if let path = settings.dataSets {
        let figures = try DataSetsFile(reading: path)
        try figures.check(
          weights: reading.loaded?.weightsDigest,
          of: reading.contents.checkpoint?.path ?? "\(settings.run)/checkpoints/best")
        reading.contents.dataSets = figures
      }
      return reading
    }
    contents = reading?.contents
    let subject = try EvaluationSubject(reading, data: settings.data, communicator: communicator)
    if let subject {
      try evaluate(subject, reading)
    } else if contents?.missing[.detection] == nil {
      contents?.missing[.detection] =
        "The run has no validation images to evaluate its detector on; give some with --data."
    }

    let output = settings.output ?? "\(settings.run)/report.html"
    let contents = contents
    try communicator.agreed {
      guard var contents else { return }
      try DurableFile.makeFolder(DurableFile.folder(of: output))
      try DurableFile.write(try ReportPage(contents).html(), to: output)
      contents.splits = DataSplit.all(of: contents.configuration)
      contents.preprocessing = reading?.loaded?.preprocessing?.text
      try DurableFile.write(try ModelCard(contents).text(), to: Self.card(beside: output))
    }
    return output
  }

  /// Where the model's card of a page is: `model-card.md` beside `report.html`, `NAME-card.md` beside
  /// another `NAME.html`.
  static func card(beside page: String) -> String {
    let folder = DurableFile.folder(of: page)
    let name = page.split(separator: "/").last.map(String.init) ?? ""
    let stem = name.hasSuffix(".html") ? String(name.dropLast(5)) : name
    return "\(folder)/" + (stem == "report" ? "model-card.md" : "\(stem)-card.md")
  }

  // MARK: The detector on images

  private mutating func evaluate(_ subject: EvaluationSubject, _ reading: RunReading?) throws {
    let opened: ShardSet
    do {
      let seen = try communicator.agreed {
        let set = try ShardSet(patterns: subject.data)
        try subject.loaded.check(set)
        return (set: set, fingerprint: try set.fingerprint())
      }
      try SharedShards.agree(
        on: seen.fingerprint, patterns: subject.data, communicator: communicator)
      opened = seen.set
    } catch  where settings.data.isEmpty && !(error is MPIError) {
      contents?.missing[.detection] =
        "The run's validation images can't be read: \(error). Start rfm report in the folder that "
        + "the training was started in, or give --data."
      return
    }
    let set = opened
    let pass = DatasetPass(
      subject.loaded, batch: settings.batch, communicator: communicator, workers: workers)
    let samples = EvenSample.choose(Array(0..<set.count), limit: settings.scored) {
      set.labels[$0] == 0 ? 0 : Int(set.methods[$0])
    }
    let mine = pass.part(samples)
    let progress = progress("scoring", mine.count)
    let part = try communicator.agreed {
      try pass.logits(ofThisRank: mine, set) {
        progress?.update($0)
        try checkForStop()
      }
    }
    progress?.finish()
    let scores = try communicator.gather(part).map {
      SampleScores(
        samples, logits: $0.flatMap { $0 }, calibration: subject.loaded.calibration)
    }
    try communicator.agreed {
      guard let scores else { return }
      do {
        contents?.evaluation = try scores.evaluation(
          set, patterns: subject.data, workers: workers)
        let excluded = reading?.contents.configuration?.data.excludeMethods ?? []
        let methods = contents?.evaluation?.methods ?? []
        contents?.evaluation?.leftOutMethods = methods.filter(excluded.contains)
      } catch let error as MetricsError {
        contents?.missing[.detection] = "The scores can't be used: \(error)."
      }
    }
    guard try communicator.all(!communicator.isRoot || contents?.evaluation != nil) else { return }
    try survey(subject, reading, pass: pass, set: set, samples: samples, scores: scores)
  }

  /// Maps, prototypes, attribution and examples.
  private mutating func survey(
    _ subject: EvaluationSubject, _ reading: RunReading?, pass: DatasetPass, set: ShardSet,
    samples: [Int], scores: SampleScores?
  ) throws {
    let fakes = EvenSample.choose(
      samples.filter { set.labels[$0] != 0 }, limit: settings.mapped
    ) { Int(set.methods[$0]) }
    var file = try subject.prototypes(communicator, reading?.prototypes)
    var isOwn = true
    if file == nil && subject.imagesPerMethod > 0 && set.labels.contains(1) {
      isOwn = false
      let survey = try PrototypeSurvey(
        pass, set, imagesPerMethod: subject.imagesPerMethod, communicator: communicator,
        afterBatch: checkForStop,
        ownWork: { [communicator] work in try communicator.agreed { try work() } })
      file = PrototypesFile(
        survey.prototypes,
        origin: .init(
          patterns: subject.data, imagesPerMethod: subject.imagesPerMethod),
        calibration: survey.calibration, meanFaces: survey.meanFaces)
    }
    // Rank 0's; nil where it can't be told.
    let taken = try communicator.agreed {
      communicator.isRoot ? file.map { PrototypeImages.knownSamples(of: $0, in: set) } ?? [] : []
    }
    let excluded = Set(try communicator.broadcast(taken ?? []))

    var maps = MapSurvey(set, prototypes: file?.prototypes, crop: pass.crop)
    let mine = pass.part(fakes)
    for kind in pass.kinds where kind == .fam || set.hasMasks {
      let progress = progress(kind.rawValue, mine.count)
      try communicator.agreed {
        try pass.maps(kind, set, mine) { image in
          try maps.add(image, kind: kind, isAttributed: !excluded.contains(image.sample))
          progress?.update(image.place + 1)
          try checkForStop()
        }
      }
      progress?.finish()
    }
    try maps.collect(communicator)

    let examples = try communicator.agreed { () throws -> [Example] in
      guard let scores else { return [] }
      return try ExampleGallery(
        pass: pass, set: set, loaded: subject.loaded, prototypes: file,
        configuration: reading?.contents.configuration
      ).examples(scores)
    }
    let gallery = try communicator.agreed { () throws -> PrototypeGallery? in
      guard communicator.isRoot, let file else { return nil }
      return PrototypeGallery(
        prototypes: file.prototypes,
        meanFaces: try file.meanFaces
          ?? PrototypeImages.meanFaces(
            of: file.prototypes, set, crop: pass.crop, perMethod: file.origin.imagesPerMethod),
        origin: isOwn
          ? "are the checkpoint's own\(file.origin.data.map { ", from \($0)" } ?? "")"
          : "were taken from the first \(subject.imagesPerMethod) of each method's images shown here"
      )
    }
    guard contents != nil else { return }
    contents!.evaluation!.mapped = fakes.count
    contents!.evaluation!.localisation = maps.localisation
    contents!.evaluation!.attribution = file.flatMap {
      maps.attribution(
        preferred: $0.calibration.plainAccuracy == nil && $0.calibration.centredAccuracy == nil
          ? nil : $0.calibration.kind, $0.calibration)
    }
    contents!.evaluation!.prototypes = gallery
    contents!.evaluation!.examples = examples
    explainAbsences(
      file, fakes: fakes.count, allFakes: samples.count { set.labels[$0] != 0 },
      hasMasks: set.hasMasks, imagesPerMethod: subject.imagesPerMethod,
      isOriginKnown: taken != nil)
  }

  private mutating func explainAbsences(
    _ file: PrototypesFile?, fakes: Int, allFakes: Int, hasMasks: Bool, imagesPerMethod: Int,
    isOriginKnown: Bool
  ) {
    guard let evaluation = contents?.evaluation else { return }
    let part =
      "Of \(FigureText.count(allFakes, "fake image")) \(FigureText.count(fakes)) were taken, evenly "
      + "chosen."
    if fakes == 0 {
      for missing in [ReportContents.Part.localisation, .attribution] {
        contents!.missing[missing] = "There are no fake images here."
      }
      if file == nil { contents!.missing[.prototypes] = "There are no fake images here." }
      return
    }
    if hasMasks && evaluation.localisation.isEmpty {
      contents!.missing[.localisation] =
        "No mask marks a part of a fake image, so this can't be measured."
    } else if hasMasks && fakes < allFakes {
      contents!.missing[.localisation] = part
    }
    if file == nil {
      if contents!.missing[.prototypes] == nil {
        contents!.missing[.prototypes] =
          imagesPerMethod == 0
          ? "None were computed: prototypes.images_per_method is 0." : "None were computed."
      }
      contents!.missing[.attribution] = "Without prototypes no method can be named."
    } else if (evaluation.attribution?.known ?? 0) == 0 {
      contents!.missing[.attribution] =
        "Every fake image here went into a prototype or is of a method without one, so attribution "
        + "can't be measured; give other images with --data."
    } else {
      var remarks = fakes < allFakes ? [part] : []
      if !isOriginKnown {
        let data = file?.origin.data.map { " (\($0))" } ?? ""
        remarks.append(
          "The shards that the prototypes were made of\(data) are not known or can't be opened from "
            + "here: if some of these images went into them, the accuracy is too high.")
      }
      if !remarks.isEmpty { contents!.missing[.attribution] = remarks.joined(separator: " ") }
    }
  }

  // MARK: ProgressLine

  /// Only where there is something to wait for.
  private func progress(_ label: String, _ total: Int) -> ProgressLine? {
    communicator.isRoot && total > 8 * settings.batch
      ? ProgressLine("\(label): image", total: total, items: ("images", 1)) : nil
  }

  private func checkForStop() throws {
    if isStopped() { throw Stopped() }
  }
}
