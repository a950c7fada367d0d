import Checkpoints
import Dispatch
import FaceShards
import ForgeryMining
import Foundation
import Foundations
import Images
import MessagePassing
import Networks
import Tensors

/// What a detector says about single images: how likely each is fake, which method made it, and
/// where that is seen.
public struct ExplanationJob {
  public struct Settings: Sendable {
    /// Files, folders and `-` for standard input, an image or a list of files and folders.
    public var inputs: [String]
    /// Folder for the pictures; nil for none.
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

    /// ``skippedKinds`` in words, the most frequent first: "video (MP4): 12, damaged: 1".
    public var kindsInWords: String {
      skippedKinds.sorted { ($1.value, $0.key) < ($0.value, $1.key) }
        .map { "\($0.key): \($0.value)" }.joined(separator: ", ")
    }
  }

  /// None of the inputs is an image.
  public struct NothingToExplain: ReportableError {
    public let detail: String
    public var description: String { "no image to explain: \(detail)" }
    public var exitStatus: ExitStatus { .badData }

    init(detail: String) { self.detail = detail }

    /// Of a few files it says what is wrong with each, of many how many of each kind there are too.
    init(_ summary: Summary) {
      let skipped = summary.skipped
      if skipped.count == 1 {
        detail = skipped[0]
      } else {
        let rest = skipped.count - 3
        detail =
          "none of \(skipped.count) files is an image that can be read (\(summary.kindsInWords)): "
          + skipped.prefix(3).joined(separator: "; ") + (rest > 0 ? "; and \(rest) more" : "")
      }
    }
  }

  /// A picture would take the place of an image that is to be explained.
  public struct PictureInTheWay: ReportableError {
    let picture: String
    let image: String
    public var description: String {
      "\(picture): a picture of this name would replace \(image), which is to be explained; choose "
        + "another folder with --output"
    }
    public var exitStatus: ExitStatus { .badData }
  }

  /// The detector makes no number of an image.
  public struct NotFinite: ReportableError {
    let image: String
    let weights: String
    public var description: String {
      "\(image): what the detector says of it is not a finite number, so its weights (\(weights)) are "
        + "damaged or too large; rfm inspect --verify looks at them"
    }
    public var exitStatus: ExitStatus { .badData }
  }

  /// The prototypes' maps have another size than the detector's input.
  public struct WrongSize: ReportableError {
    let path: String
    let size: String
    let crop: Int
    public var description: String {
      "\(path): the prototypes have \(size) pixels, the detector takes \(crop)x\(crop); compute "
        + "them with this detector (rfm prototypes)"
    }
    public var exitStatus: ExitStatus { .badData }
  }

  /// Other ranks find prototypes where this one finds none.
  public struct PrototypesElsewhere: ReportableError {
    let checkpoint: String
    public var description: String {
      "\(checkpoint): has no prototypes here, but on other ranks; share the checkpoint, or copy it to every host"
    }
    public var exitStatus: ExitStatus { .badData }
  }

  private let loaded: LoadedDetector
  private let settings: Settings
  private let attribution: Attribution?
  private let calibration: PrototypesFile.Calibration
  /// What the user should know of the prototypes.
  private let notes: [String]
  private let attention: AttentionProgram
  private let inference: InferenceProgram
  private let images: AlignedMemory
  private let gradients: AlignedMemory
  private let activations: AlignedMemory
  private let logits: AlignedMemory

  /// Collective. Images stream: memory does not grow with their number.
  ///
  /// Every image is turned upright, cut to its centre square, resized and cropped, as `pack` and an
  /// evaluation do.
  ///
  /// - Parameters:
  ///   - progress: told how many of how many images this rank has done.
  ///   - emit: given one JSON object an image, in order, on rank 0.
  /// - Returns: the same on all ranks.
  /// - Throws: ``NothingToExplain``, ``PictureInTheWay``, ``NotFinite``, ``WrongSize``, ``ImageError``,
  ///   what reading prototypes throws, `FileError`, `MPIError`.
  public static func run(
    _ loaded: LoadedDetector, _ settings: Settings, communicator: Communicator,
    workers: WorkerPool, progress: (Int, Int) -> Void = { _, _ in },
    emit: (JSON) throws -> Void
  ) throws -> Summary {
    let prototypes = try Self.prototypes(loaded, settings, communicator)
    let job = ExplanationJob(loaded, settings, prototypes, workers: workers)
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
    var summary = Summary()
    summary.notes = stream.notes + job.notes
    guard !stream.paths.isEmpty else {
      throw NothingToExplain(
        detail: settings.inputs.joined(separator: ", ") + " holds no files")
    }
    if let output = settings.output {
      try FileManager.default.createDirectory(atPath: output, withIntermediateDirectories: true)
    }
    let names = settings.output == nil ? nil : PictureNames(stream.paths)
    try communicator.agreed {
      guard communicator.isRoot, let names, let output = settings.output else { return }
      try checkNothingIsReplaced(stream.paths, names, output)
    }
    // Ranks go in step: rank 0 has the most images, so all take part in as many rounds as it has.
    RankStatus.enter(.explaining)
    let rounds =
      (stream.paths.count + communicator.size * settings.batch - 1)
      / (communicator.size * settings.batch)
    var round = 0
    func exchange(_ lines: [Line]) throws {
      round += 1
      var all: [Line] = []
      for part in try communicator.allGather(JSON.array(lines.map(\.json)).line()) {
        all += try Line.lines(decoding: part)
      }
      for line in all.sorted(by: { $0.index < $1.index }) {
        switch line.said {
        case .skipped(let reason, let kind):
          summary.skipped.append(reason)
          summary.skippedKinds[kind, default: 0] += 1
        case .explained(let value):
          summary.explained += 1
          if communicator.isRoot { try emit(value) }
        }
      }
    }
    var done = 0
    let preparation = Preparation(crop: loaded.crop, size: settings.size)
    @Sendable func prepare(_ image: RGBImage) -> RGBImage { preparation.apply(image) }
    try stream.forEach(batch: settings.batch, threads: settings.threads, prepare: prepare) {
      items in
      try exchange(job.explain(items, names: names))
      done += items.count
      progress(done, stream.count)
    }
    while round < rounds { try exchange([]) }
    guard summary.explained > 0 else {
      throw NothingToExplain(summary)
    }
    return summary
  }

  /// What is drawn of each image; the end of its pictures' names.
  private static let pictures = ["fam", "cam", "sheet"]

  /// Throws ``PictureInTheWay`` if one of the pictures would be written over one of the images, as
  /// where both are in one folder.
  private static func checkNothingIsReplaced(
    _ paths: [BytePath], _ names: PictureNames, _ output: String
  ) throws {
    struct Identity: Hashable {
      let device: UInt64
      let node: UInt64
    }
    func identity(_ path: BytePath, followingLinks: Bool) -> Identity? {
      var status = stat()
      let result = path.withCString { followingLinks ? stat($0, &status) : lstat($0, &status) }
      return result == 0
        ? Identity(device: UInt64(status.st_dev), node: UInt64(status.st_ino)) : nil
    }
    var existing: [Identity: String] = [:]
    for index in paths.indices {
      for picture in pictures {
        let path = "\(output)/\(names[index])-\(picture).png"
        if let found = identity(BytePath(path), followingLinks: false) { existing[found] = path }
      }
    }
    guard !existing.isEmpty else { return }
    for path in paths {
      if let found = identity(path, followingLinks: true), let picture = existing[found] {
        throw PictureInTheWay(picture: picture, image: path.description)
      }
    }
  }

  /// The prototypes to compare with, if there are any. Collective.
  private static func prototypes(
    _ loaded: LoadedDetector, _ settings: Settings, _ communicator: Communicator
  ) throws -> PrototypesFile? {
    let path = settings.prototypes ?? loaded.checkpoint?.prototypesPath
    // A checkpoint has some or none, and where a rank's has none the others must not wait for it.
    guard try communicator.any(path != nil) else { return nil }
    guard let path else {
      throw PrototypesElsewhere(checkpoint: loaded.source)
    }
    let file = try PrototypesFile(reading: path)
    try file.agree(path, communicator)
    guard file.prototypes.height == loaded.crop, file.prototypes.width == loaded.crop else {
      throw WrongSize(
        path: path, size: "\(file.prototypes.height)x\(file.prototypes.width)", crop: loaded.crop)
    }
    return file
  }

  private init(
    _ loaded: LoadedDetector, _ settings: Settings, _ prototypes: PrototypesFile?,
    workers: WorkerPool
  ) {
    self.loaded = loaded
    self.settings = settings
    let crop = loaded.crop
    if let file = prototypes {
      attribution = file.prototypes.methods.isEmpty ? nil : Attribution(file.prototypes)
      calibration = file.calibration
      let path = settings.prototypes ?? loaded.checkpoint?.prototypesPath ?? ""
      notes = file.mismatch(with: loaded, path: path).map { [$0] } ?? []
    } else {
      attribution = nil
      calibration = PrototypesFile.Calibration()
      notes = []
    }
    let group = DetectorGroups.size(images: settings.batch, alone: true)
    attention = AttentionProgram(
      loaded.detector, crop: crop, groupSize: group, workers: workers)
    inference = InferenceProgram(
      loaded.detector, crop: crop, groupSize: group, workers: workers)
    attention.refresh()
    inference.refresh()
    let pixels = crop * crop
    images = AlignedMemory(size: settings.batch * pixels * 3 * 4)
    gradients = AlignedMemory(size: settings.batch * pixels * 3 * 4)
    activations = AlignedMemory(
      size: settings.batch * 2 * inference.featureHeight * inference.featureWidth * 4)
    logits = AlignedMemory(size: settings.batch * 2 * 4)
  }

  // MARK: One batch

  private func explain(_ items: [ImageStream.Item], names: PictureNames?) throws -> [Line] {
    var lines: [Line] = []
    var faces: [(item: ImageStream.Item, image: RGBImage)] = []
    for item in items {
      switch item.image {
      case .success(let image): faces.append((item, image))
      case .failure(let error):
        lines.append(Line(index: item.index, .skipped(error.description, kind: error.kind)))
      }
    }
    let crop = loaded.crop
    let size = crop * crop * 3
    let normalisation = loaded.normalisation
    for (place, face) in faces.enumerated() {
      face.image.pixels.withUnsafeBufferPointer {
        normalisation.cut(
          CropGeometry(top: 0, left: 0, side: crop), of: $0, width: crop,
          into: UnsafeMutableBufferPointer(start: images.floats() + place * size, count: size))
      }
    }
    guard !faces.isEmpty else { return lines }
    Array(faces.indices).withUnsafeBufferPointer {
      attention.run(
        images: images.floats(), selected: $0, logits: logits.floats(),
        gradients: gradients.floats())
    }
    if settings.output != nil {
      inference.run(
        images: images.floats(), count: faces.count, logits: logits.floats(),
        activationMaps: activations.floats())
    }
    let results = Results(count: faces.count)
    // Each iteration reads the batch's buffers and writes files of its own.
    nonisolated(unsafe) let job = self
    let batch = faces
    let workers = min(max(1, settings.threads), faces.count)
    DispatchQueue.concurrentPerform(iterations: workers) { worker in
      for place in stride(from: worker, to: batch.count, by: workers) {
        results.store(
          Result { try job.describe(batch[place].item, batch[place].image, place, names) }, place)
      }
    }
    for result in results.all { lines.append(try result.get()) }
    return lines
  }

  private func describe(
    _ item: ImageStream.Item, _ image: RGBImage, _ place: Int, _ names: PictureNames?
  ) throws -> Line {
    RankStatus.progress()
    let crop = loaded.crop
    let size = crop * crop * 3
    let map = forgeryAttentionMap(
      inputGradient: Array(
        UnsafeBufferPointer(start: gradients.floats() + place * size, count: size)),
      height: crop, width: crop)
    let (real, fake) = (logits.floats()[2 * place], logits.floats()[2 * place + 1])
    guard real.isFinite, fake.isFinite, map.allSatisfy(\.isFinite) else {
      throw NotFinite(image: item.path, weights: loaded.source)
    }
    let probability = CrossEntropy.probabilityOfFake(real: real, fake: fake)
    let isFake = probability >= settings.threshold
    var members: [JSON.Member] = [
      .init("path", .text(item.path)),
      .init("probability_fake", .number(probability)),
      .init("label", .text(isFake ? "fake" : "real")),
      .init("threshold", .number(settings.threshold)),
      .init("logit_real", .number(real)),
      .init("logit_fake", .number(fake)),
    ]
    var verdict = [
      "probability of fake \(fixed(probability, 4)): \(isFake ? "fake" : "real")"
        + " (threshold \(fixed(settings.threshold, 2)))"
    ]
    if let attribution {
      let kind = calibration.kind
      let similarities = attribution.similarities(
        normalisedAttention(map, height: crop, width: crop))
      let methods = attribution.prototypes.methods
      let best = similarities.likeliestMethod(kind)!
      let similarity = similarities[kind][best]
      let threshold = calibration.threshold(kind)
      let isKnown = threshold.map { similarity >= $0 } ?? true
      members += [
        .init("method", .text(methods[best])),
        .init("similarity", .number(similarity)),
        .init("method_is_known", .boolean(isKnown)),
        .init("similarity_threshold", .optional(threshold)),
        .init("attribution", .text(kind.rawValue)),
        .init(
          "similarities",
          .object(zip(methods, similarities[kind]).map { .init($0, .number($1)) })),
      ]
      verdict.append(
        "likeliest method \(methods[best]), similarity \(fixed(similarity, 3))"
          + (isKnown ? "" : ": below \(fixed(threshold!, 3)), perhaps an unknown one"))
    }
    if let output = settings.output, let names {
      let base = "\(output)/\(names[item.index])"
      try draw(image, map: map, item: item, place: place, verdict: verdict, base: base)
      members.append(
        .init(
          "pictures",
          .object(
            Self.pictures.map { .init($0, .text("\(base)-\($0).png")) })))
    }
    return Line(index: item.index, .explained(.object(members)))
  }

  private func draw(
    _ image: RGBImage, map: [Float], item: ImageStream.Item, place: Int, verdict: [String],
    base: String
  ) throws {
    let crop = loaded.crop
    let (height, width) = (inference.featureHeight, inference.featureWidth)
    let cams = activations.floats() + place * 2 * height * width
    let activation = (0..<height * width).map { cams[height * width + $0] - cams[$0] }
    // The seed's own noise for every image, whichever rank it falls to.
    var streams = ErasingStreams(seed: settings.seed, epoch: 0, sample: UInt64(item.index))
    let erased = ErasedPicture.render(
      image, attention: map, erasing: SuspiciousForgeriesErasing(ErasingSettings(), crop: crop),
      normalisation: loaded.normalisation, streams: &streams)
    // FAM is spiky: the normalised map, smoothed by half, is what prototypes are made of too.
    let smooth = normalisedAttention(map, height: crop, width: crop)
    try PNGCodec.write(
      Heatmap.overlay(smooth, width: crop, height: crop, on: image), to: base + "-fam.png")
    try PNGCodec.write(
      Heatmap.overlay(activation, width: width, height: height, on: image), to: base + "-cam.png")
    try PNGCodec.write(
      ExplanationSheet.render(
        image: image, attention: smooth, attentionSize: (crop, crop), activation: activation,
        activationSize: (width, height), erased: erased, title: item.path, verdict: verdict),
      to: base + "-sheet.png")
  }
}

/// What is done to an image before the detector sees it.
struct Preparation: Sendable {
  let crop: Int
  let size: Int

  init(crop: Int, size: Int?) {
    self.crop = crop
    self.size = max(crop, size ?? (crop * 8 + 3) / 7)
  }

  func apply(_ image: RGBImage) -> RGBImage {
    let square = ImageResize.bilinear(image.centreSquare(), width: size, height: size)
    return square.cropped(
      left: (size - crop) / 2, top: (size - crop) / 2, width: crop, height: crop)
  }
}

/// What is said about an image, on its way to rank 0.
private struct Line {
  let index: Int
  let said: Said

  enum Said {
    case explained(JSON)
    /// Why there is nothing to explain, and what the file is in a word or two.
    case skipped(String, kind: String)
  }

  /// For several lines in one message. Paths and names stand in it as JSON has them: no byte of
  /// theirs can be taken for one of the message's own.
  var json: JSON {
    switch said {
    case .explained(let value): [.integer(index), value]
    case .skipped(let reason, let kind): [.integer(index), .text(reason), .text(kind)]
    }
  }

  init(index: Int, _ said: Said) {
    self.index = index
    self.said = said
  }

  /// - Throws: `JSON.Malformed` for a message that was changed on its way.
  static func lines(decoding message: String) throws -> [Line] {
    let message = Array(message.utf8)
    return try (JSON(parsing: message).arrayValue ?? []).map { line in
      let parts = line.arrayValue ?? []
      guard let index = parts.first?.integerValue, (2...3).contains(parts.count) else {
        preconditionFailure("another rank sent something else than lines: \(line)")
      }
      if parts.count == 2 { return Line(index: index, .explained(parts[1])) }
      return Line(
        index: index, .skipped(parts[1].textValue ?? "", kind: parts[2].textValue ?? ""))
    }
  }
}

/// Results of iterations that run at once.
private final class Results: @unchecked Sendable {
  private let lock = NSLock()
  private var values: [Result<Line, any Error>?]

  init(count: Int) { values = Array(repeating: nil, count: count) }

  func store(_ value: Result<Line, any Error>, _ place: Int) {
    lock.withLock { values[place] = value }
  }

  var all: [Result<Line, any Error>] { lock.withLock { values.map { $0! } } }
}
