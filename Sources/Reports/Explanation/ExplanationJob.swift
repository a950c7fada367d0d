import Checkpoints
import FaceShards
import Foundations
import Images
import MessagePassing
import Tensors

/// What a detector says about single images: how likely each is fake, which method made it, and
/// where that is seen.
public struct ExplanationJob {
  public struct Settings: Sendable {
    /// Files, folders and `-` for standard input, an image or a list of files and folders.
    public var inputs: [String]
    /// Folder for the pictures and the page that shows them; nil for none.
    public var output: String?
    /// A prototypes file; nil for the checkpoint's own, if it has one.
    public var prototypes: String?
    /// Images at least this likely to be fake are called fake.
    public var threshold = 0.5
    /// Height and width that images are brought to before the centre crop; nil for 8/7 of the crop,
    /// which is 256 for 224.
    public var size: Int?
    public var batch = 16
    /// Of the noise that shows what SFE would erase.
    public var seed: UInt64 = 0
    /// Images that a rank decodes and draws at once.
    public var threads = 1

    public init(inputs: [String]) { self.inputs = inputs }
  }

  /// How it went, over all ranks.
  public struct Summary: Sendable, Equatable {
    public var explained = 0
    /// Inputs that hold no image, with the reason, in order.
    public var skipped: [String] = []
    /// How many inputs hold no image, by what they are: "video (MP4)", "damaged".
    public var skippedKinds: [String: Int] = [:]
    /// What else was passed over and why.
    public var notes: [String] = []
    /// The first page; nil without a folder for it.
    public var page: String?

    /// ``skippedKinds`` in words, the most frequent first: "video (MP4): 12, damaged: 1".
    public var kindsInWords: String {
      skippedKinds.sorted { ($1.value, $0.key) < ($0.value, $1.key) }
        .map { "\($0.key): \($0.value)" }.joined(separator: ", ")
    }
  }

  /// Collective. Images stream: memory does not grow with their number.
  ///
  /// Every image is turned upright, cut to its centre square, resized and cropped, as `pack` and an
  /// evaluation do.
  ///
  /// - Parameters:
  ///   - progress: told how many of how many images this rank has done.
  ///   - emit: given one JSON object an image, in order, on rank 0.
  /// - Returns: the same on all ranks.
  /// - Throws: ``NothingToExplain``, ``PictureInTheWay``, ``NotFinite``, `OtherPrototypes`, ``ImageError``,
  ///   what reading prototypes throws, `FileError`, an error that names what is in a page's way,
  ///   `MPIError`.
  public static func run(
    _ loaded: LoadedDetector, _ settings: Settings, communicator: Communicator,
    workers: WorkerPool, progress: (Int, Int) -> Void = { _, _ in },
    emit: (JSON) throws -> Void
  ) throws -> Summary {
    var summary = Summary()
    let prototypes = try ComparedPrototypes.find(settings.prototypes, loaded, communicator) {
      summary.notes.append($0)
    }
    let explainer = ImageExplainer(loaded, settings, prototypes, workers: workers)
    let stream = try openStream(settings, communicator)
    summary.notes = stream.notes + summary.notes
    guard !stream.paths.isEmpty else {
      throw NothingToExplain(
        detail: settings.inputs.joined(separator: ", ") + " holds no files")
    }
    let folder = try settings.output.map { output in
      try ExplanationFolder(
        output, paths: stream.paths,
        subject: ExplanationPage.Subject(
          detector: loaded.detector.form.description, source: loaded.source, crop: loaded.crop,
          hasActivationMaps: loaded.detector.hasActivationMaps,
          threshold: settings.threshold,
          attribution: prototypes.map { ($0.kind, $0.threshold, $0.path) }),
        prototypes: prototypes, communicator: communicator)
    }
    RankStatus.enter(.explaining)
    // Ranks go in step: rank 0 has the most images, so all take part in as many rounds as it has.
    let rounds =
      (stream.paths.count + communicator.size * settings.batch - 1)
      / (communicator.size * settings.batch)
    var round = 0
    func take(_ items: [ImageStream.Item]) throws {
      round += 1
      try folder?.begin(hasImages: items.contains { $0.isImage }, communicator)
      let mine = try explainer.explain(items, drawingInto: folder)
      for line in try ExplanationLine.exchange(mine, communicator) {
        switch line.said {
        case .skipped(let reason, let kind):
          summary.skipped.append(reason)
          summary.skippedKinds[kind, default: 0] += 1
        case .explained(let explanation):
          summary.explained += 1
          guard communicator.isRoot else { continue }
          try emit(explanation.json)
          try folder?.pages?.add(explanation)
        }
      }
    }
    var done = 0
    let preparation = Preparation(crop: loaded.crop, size: settings.size)
    @Sendable func prepare(_ image: RGBImage) -> RGBImage { preparation.apply(image) }
    try stream.forEach(batch: settings.batch, threads: settings.threads, prepare: prepare) {
      items in
      try take(items)
      done += items.count
      progress(done, stream.count)
    }
    while round < rounds { try take([]) }
    guard summary.explained > 0 else {
      throw NothingToExplain(summary)
    }
    if let folder { try folder.finish(&summary, communicator) }
    return summary
  }

  /// The images of all ranks, which see the same ones. Collective.
  private static func openStream(
    _ settings: Settings, _ communicator: Communicator
  ) throws -> ImageStream {
    // Under mpirun only rank 0 has the standard input. Whoever writes to it may take its time.
    let standardInput =
      settings.inputs.contains("-")
      ? try communicator.broadcast(
        communicator.isRoot ? StandardInput.read(waiting: RankStatus.progress) : []) : []
    let stream = try ImageStream(
      inputs: settings.inputs, standardInput: standardInput, rank: communicator.rank,
      rankCount: communicator.size)
    var seen = ContentsDigest()
    for path in stream.paths { seen.add(path.bytes) }
    try SharedContents.agree(
      on: seen, "\(settings.inputs.joined(separator: ", ")): the list of images",
      communicator: communicator)
    return stream
  }
}

extension ImageStream.Item {
  fileprivate var isImage: Bool {
    if case .success = image { true } else { false }
  }
}
