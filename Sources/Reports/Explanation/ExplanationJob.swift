import Checkpoints
import FaceShards
import Foundations
import Images
import MessagePassing
import Tensors

/// What a detector says about single images, faces in photos, and videos: how likely each is fake, which
/// method made it, and where that is seen.
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
    /// Images less likely than this are called real, and those between unsure; nil: there is no between.
    public var realThreshold: Double?
    /// Whether and how faces are looked for. Its size is the height and width that images are brought to
    /// before the centre crop; nil for that of the detector's faces, or 8/7 of the crop, which is 256 for
    /// 224.
    public var faces = FaceExtraction.Request()
    /// The most frames of a video that are looked at, evenly spaced.
    public var frames = 32
    public var batch = 16
    /// Of the noise that shows what SFE would erase.
    public var seed: UInt64 = 0
    /// Images that a rank decodes and draws at once.
    public var threads = 1

    public init(inputs: [String]) { self.inputs = inputs }
  }

  /// How it went, over all ranks.
  public struct Summary: Sendable, Equatable {
    /// Files.
    public var explained = 0
    /// Inputs that hold no image, or none with a face, with the reason, in order.
    public var skipped: [String] = []
    /// How many they are, by what they are: "no face", "damaged".
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

    /// Whether some inputs were passed over for want of a face.
    var lacksFaces: Bool { skippedKinds[FileExplainer.noFace] != nil }

    /// What is wrong with inputs that were passed over: "are not images that can be read".
    public var skippedInWords: String {
      lacksFaces || skippedKinds.keys.contains { $0.hasSuffix("video") }
        ? "give nothing to explain" : "are not images that can be read"
    }
  }

  /// Collective. Files stream: memory does not grow with their number, nor with a video's length.
  ///
  /// Every image is turned upright, and cut to its centre square, or to the faces in it; that is resized and
  /// cropped, as `pack` and an evaluation do. A video's verdict is the mean over its frames.
  ///
  /// - Parameters:
  ///   - tell: told how faces are cut out, before the first line.
  ///   - progress: told how many of how many pictures this rank has done; a video counts as so many.
  ///   - emit: given one JSON object an image, face or video, in order, on rank 0.
  /// - Returns: the same on all ranks.
  /// - Throws: ``NothingToExplain``, ``PictureInTheWay``, ``NotFinite``, `OtherPrototypes`, ``ImageError``,
  ///   what `FaceExtraction` throws,   what reading prototypes throws, `FileError`, an error that names what is in a page's way,
  ///   `MPIError`.
  public static func run(
    _ loaded: LoadedDetector, _ settings: Settings, communicator: Communicator,
    workers: WorkerPool, tell: (String) -> Void = { _ in },
    progress: (Int, Int) -> Void = { _, _ in },
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
    let isVideo = stream.paths.map(ImageStream.isVideo(byName:))
    if settings.realThreshold != nil, let place = isVideo.firstIndex(of: true) {
      throw RatesOfVideos(path: "\(stream.paths[place])")
    }
    let extraction = try FaceExtraction(
      settings.faces,
      for: FaceExtraction.Subject(
        preprocessing: loaded.preprocessing, name: loaded.source, crop: loaded.crop),
      usualSize: Preparation(crop: loaded.crop, size: nil).size,
      hasImages: isVideo.contains(false), hasVideos: isVideo.contains(true))
    let folder = try settings.output.map { output in
      try ExplanationFolder(
        output, paths: stream.paths,
        subject: ExplanationPage.Subject(
          detector: loaded.detector.form.description, source: loaded.source, crop: loaded.crop,
          hasActivationMaps: loaded.detector.hasActivationMaps,
          threshold: settings.threshold, realThreshold: settings.realThreshold,
          temperature: loaded.calibration?.temperature,
          attribution: prototypes.map { ($0.kind, $0.threshold, $0.path) },
          findsFaces: extraction.images == .detect || isVideo.contains(true)),
        prototypes: prototypes, communicator: communicator)
    }
    RankStatus.enter(.explaining)
    let isDrawn = folder != nil
    let reader = PictureReader(extraction, crop: loaded.crop, isDrawn: isDrawn)
    let files = FileExplainer(
      explainer: explainer,
      videos: VideoExplainer(
        explainer: explainer, reader: reader, frames: settings.frames, batch: settings.batch,
        threads: settings.threads, threshold: settings.threshold, isDrawn: isDrawn),
      batch: settings.batch)
    func take(_ items: [ImageStream.Item<PictureReader.Contents>]) throws {
      let mine = try files.explain(items, paths: stream.paths, drawingInto: folder) {
        try folder?.begin(hasImages: $0, communicator)
      }
      for line in try ExplanationLine.exchange(mine, communicator) {
        switch line.said {
        case .skipped(let reason, let kind):
          summary.skipped.append(reason)
          summary.skippedKinds[kind, default: 0] += 1
        case .explained(let explanation):
          // Not beside an error that there is nothing.
          if summary.explained == 0 {
            extraction.notes.forEach(tell)
            if loaded.calibration == nil { tell(Self.uncalibrated) }
          }
          summary.add(explanation)
          guard communicator.isRoot else { continue }
          for line in explanation.lines { try emit(line) }
          try folder?.pages?.add(explanation)
        }
      }
    }
    func weight(_ path: BytePath) -> Int {
      // Looking for faces takes long, and a photo may have many.
      ImageStream.isVideo(byName: path)
        ? settings.frames : extraction.images == .detect ? detectionWeight : 1
    }
    // Ranks go in step: all take part in as many rounds.
    let rounds = stream.rounds(batch: settings.batch, weight: weight)
    let weights = rounds.map { $0.reduce(0) { $0 + weight(stream.paths[$1]) } }
    let total = weights.reduce(0, +)
    var (done, round) = (0, 0)
    progress(0, total)
    @Sendable func prepare(_ image: RGBImage) -> PictureReader.Contents { reader.image(image) }
    func takeRound(_ items: [ImageStream.Item<PictureReader.Contents>]) throws {
      try take(items)
      done += weights[round]
      round += 1
      progress(done, total)
    }
    try stream.forEach(
      rounds, threads: settings.threads, leavingVideos: true, prepare: prepare, takeRound)
    guard summary.explained > 0 else {
      throw NothingToExplain(summary)
    }
    if let folder { try folder.finish(&summary, communicator) }
    return summary
  }

  /// What is said where a probability is the detector's own confidence and no more.
  static let uncalibrated =
    "the detector is not calibrated: its probabilities order images, but 0.9 need not mean nine in ten "
    + "(rfm calibrate)"

  /// As how many images a photo counts in which faces are looked for.
  private static let detectionWeight = 4

  /// The files of all ranks, which see the same ones. Collective.
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

extension ExplanationJob.Summary {
  fileprivate mutating func add(_ explanation: FileExplanation) {
    explained += 1
    guard let video = explanation.video else { return }
    for note in video.notes { notes.append("\(video.path): \(note)") }
    let faceless = video.frames.count - video.framesWithFace
    if faceless > 0 {
      notes.append(
        "\(video.path): no face found in \(faceless) of \(video.frames.count) frames, which don't "
          + "count")
    }
  }
}
