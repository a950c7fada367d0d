import ArgumentParser
import FaceShards
import Foundations
import MessagePassing
import Reports
import SyntheticFaces

/// `rfm synthesize`: a data set of procedural faces and forgeries of them.
struct SynthesizeCommand: RankCommand {
  static let configuration = CommandConfiguration(
    commandName: "synthesize",
    abstract: "Make a data set of procedural faces and forgeries of them, with masks.",
    discussion: """
      Draws faces that vary in identity, pose, expression, skin, hair, light, background and camera, \
      and forges as many by five methods, each of which leaves its traces in a part of its own:

        face-swap          another identity's inner face, blended in
        mouth-reenactment  the mouth, synthesised anew with another expression
        eye-retouch        both eyes, redrawn and sharpened
        upsampled          the whole picture, as a generator with up-convolutions makes it
        skin-smoothing     cheeks and forehead, smoothed and made grainy again

      Real and forged pictures go through the same cameras and the same compression. The data set is \
      split by identity into train-NNNNN.h5 (70 in a hundred), validation-NNNNN.h5 and \
      test-NNNNN.h5 (15 each); masks are 255 where a picture was forged.

      The usual data set is an easy one. --traces 3 --strength 0.5 --variation 2 makes a harder one: three \
      places of a forged face bear traces, all are half as strong, and pictures differ twice as much.

      With --videos N it draws videos of N people instead: faces that move, speak and blink, each once as \
      it is and forged by --video-methods of the methods, as streams of PPM pictures for an encoder \
      (original/000.ppm, METHOD/000_001.ppm and their masks; launch/quickstart-media encodes them).

      With --self-blended it draws no faces, but makes fakes of the real ones in shards, each blended with \
      itself (Shiohara and Yamasaki 2022): shards of those and as many of the method self-blended, with \
      masks, as data.self_blended makes them while training.

      The same seed makes the same bytes on any number of threads and ranks. Example, on every core of \
      one machine, then on eight ranks, then fakes of real faces:

        rfm synthesize --output data/faces --images-per-class 2000
        mpirun -n 8 rfm synthesize --output /shared/faces --images-per-class 50000 --size 256
        rfm synthesize --self-blended 'data/faces/test-*.h5' --output data/self-blended
      """)

  @Option(
    help: ArgumentHelp("Folder for the shards; made if missing.", valueName: "dir"),
    transform: pathToWrite)
  var output: String

  @Option(
    help: ArgumentHelp(
      "Real pictures in all splits together; as many are forged. At least 15. (default: 2000)",
      valueName: "n"))
  var imagesPerClass: Int?

  @Option(
    help: ArgumentHelp("Pixels along each side: even, 64 to 1024. (default: 128)", valueName: "s"))
  var size: Int?

  @Option(
    help: ArgumentHelp(
      "Places of a forged face that bear traces, 1 to \(SynthesisDifficulty.mostTraces): beside its own "
        + "method's, those of further ones that forge a small part. (default: 1)", valueName: "n"))
  var traces: Int?

  @Option(
    help: ArgumentHelp(
      "How much of a forgery is blended in, up to 1: at 0.5 traces are half as strong. (default: 1)",
      valueName: "share"))
  var strength: Float?

  @Option(
    help: ArgumentHelp(
      "How widely heads turn and cameras, noise and compression differ, 1 to 3 times the usual. "
        + "(default: 1)", valueName: "factor"))
  var variation: Float?

  @Option(help: ArgumentHelp("What all random draws follow from.", valueName: "k"))
  var seed: UInt64 = 1

  @Option(help: ArgumentHelp("The most pictures in one shard. (default: 500)", valueName: "n"))
  var imagesPerShard: Int?

  @Option(
    help: ArgumentHelp(
      "Shards whose real faces are blended with themselves, instead of drawing faces: paths or patterns, "
        + "quoted so that the shell leaves them alone. May be given several times.",
      valueName: "glob"),
    transform: pathToRead)
  var selfBlended: [String] = []

  @Option(
    help: ArgumentHelp(
      "Draw videos of so many people, an even number of 2 to 998, instead of shards.",
      valueName: "n"))
  var videos: Int?

  @Option(help: ArgumentHelp("Methods that each video is forged by.", valueName: "n"))
  var videoMethods = 2

  @Option(help: ArgumentHelp("Frames of a video, 25 a second.", valueName: "n"))
  var frames = 50

  @Option(
    help: ArgumentHelp(
      "Threads of each rank. Default: the rank's share of the machine's cores.", valueName: "t"))
  var threads: Int?

  @Flag(help: "Replace the shards of a data set that is already in the folder.")
  var overwrite = false

  @OptionGroup var watchdog: WatchdogOptions

  func validate() throws {
    let fewest = SynthesisPlan.fewestImagesPerClass()
    guard (fewest...10_000_000).contains(imagesPerClass ?? fewest) else {
      throw ValidationError(
        "--images-per-class is \(imagesPerClass ?? 0), expected \(fewest) to 10000000: "
          + "three splits with a forgery by each of \(ForgeryMethod.allCases.count) methods.")
    }
    guard (64...1024).contains(side), side % 2 == 0 else {
      throw ValidationError("--size is \(side), expected an even number of 64 to 1024.")
    }
    guard (imagesPerShard ?? 1) >= 1 else {
      throw ValidationError("--images-per-shard is \(imagesPerShard ?? 0), expected at least 1.")
    }
    if !selfBlended.isEmpty {
      let others: [(name: String, isGiven: Bool)] = [
        ("--images-per-class", imagesPerClass != nil), ("--size", size != nil),
        ("--images-per-shard", imagesPerShard != nil), ("--videos", videos != nil),
        ("--traces", traces != nil), ("--strength", strength != nil),
        ("--variation", variation != nil),
      ]
      if let other = others.first(where: \.isGiven) {
        throw ValidationError(
          "\(other.name) goes with faces that are drawn, and --self-blended draws none: the fakes are as "
            + "many, as large and in as many shards as the real faces.")
      }
    }
    guard (1...SynthesisDifficulty.mostTraces).contains(traces ?? 1) else {
      throw ValidationError(
        "--traces is \(traces ?? 0), expected 1 to \(SynthesisDifficulty.mostTraces).")
    }
    guard (strength ?? 1) > 0, (strength ?? 1) <= 1 else {
      throw ValidationError("--strength is \(strength ?? 0), expected above 0 and at most 1.")
    }
    guard (1...3).contains(variation ?? 1) else {
      throw ValidationError("--variation is \(variation ?? 0), expected 1 to 3.")
    }
    guard ThreadShare.range.contains(threads ?? 1) else {
      throw ValidationError("--threads is \(threads ?? 0), expected \(ThreadShare.limits).")
    }
    guard (2...998).contains(videos ?? 2), (videos ?? 2) % 2 == 0 else {
      throw ValidationError("--videos is \(videos ?? 0), expected an even number of 2 to 998.")
    }
    guard (1...ForgeryMethod.allCases.count).contains(videoMethods) else {
      throw ValidationError(
        "--video-methods is \(videoMethods), expected 1 to \(ForgeryMethod.allCases.count).")
    }
    guard (1...100_000).contains(frames) else {
      throw ValidationError("--frames is \(frames), expected 1 to 100000.")
    }
    guard !output.isEmpty else { throw ValidationError("--output is empty, expected a folder.") }
  }

  /// Pixels along each side.
  private var side: Int { size ?? 128 }

  private var synthesizer: FaceSynthesizer {
    FaceSynthesizer(
      seed: seed, size: side,
      difficulty: SynthesisDifficulty(
        traces: traces ?? 1, strength: strength ?? 1, variation: variation ?? 1))
  }

  func run(_ world: Communicator) throws {
    RankStatus.enter(.drawing)
    if let videos { return try draw(videos, world) }
    guard selfBlended.isEmpty else { return try blend(world) }
    let plan = SynthesisPlan(
      imagesPerClass: imagesPerClass ?? 2000, imagesPerShard: imagesPerShard ?? 500)
    try make(
      ShardSynthesis(output: output, plan: plan, synthesizer: synthesizer),
      "drawing image", world)
    if world.isRoot { print(summary(of: plan)) }
  }

  private func blend(_ world: Communicator) throws {
    let set = try SharedShards.open(selfBlended, communicator: world).set
    let job = try world.agreed { try SelfBlendedShards(output: output, of: set, seed: seed) }
    try make(job, "blending image", world)
    guard world.isRoot else { return }
    printLines(
      "\(output): \(job.imageCount / 2) real faces and as many fakes made of them, in "
        + "\(job.fileNames.count) shard\(job.fileNames.count == 1 ? "" : "s")")
  }

  /// Has every rank make its part of the shards, and gives them their names. Collective.
  private func make(_ job: some ShardJob, _ activity: String, _ world: Communicator) throws {
    let threads = try ThreadShare.threads(self.threads, world)
    let place = world.isRoot ? try job.prepare(overwrite: overwrite) : nil
    defer { withExtendedLifetime(place) {} }
    if let note = place?.note { say("rfm: \(note)") }
    try world.barrier()
    do {
      // Parts are of like size, so the first rank's progress stands for all.
      let progress =
        world.isRoot ? ProgressLine(activity, total: job.imageCount, items: ("images", 1)) : nil
      try job.write(part: world.rank, of: world.size, threads: threads) { done, total in
        progress?.update(done * job.imageCount / max(total, 1))
        RankStatus.progress()
      }
      try world.barrier()
      if let place {
        progress?.update(job.imageCount)
        progress?.finish()
        try job.publish(into: place)
      }
    } catch {
      if world.size == 1 { place?.abandon() }
      throw error
    }
  }

  private func summary(of plan: SynthesisPlan) -> String {
    var lines = [
      "\(output): \(plan.count) images of \(side)x\(side) pixels, half of them forged by "
        + "\(plan.methods.count) methods"
    ]
    for (split, name) in SynthesisPlan.splitNames.enumerated() {
      let shards = plan.shards.filter { $0.fileName.hasPrefix(name + "-") }
      let images = shards.reduce(0) { $0 + $1.pictures.count }
      lines.append(
        "  \(name): \(images) images of \(plan.identities[split]) identities in "
          + "\(shards.count) shard\(shards.count == 1 ? "" : "s")")
    }
    return lines.joined(separator: "\n")
  }

  private func draw(_ videos: Int, _ world: Communicator) throws {
    let synthesis = VideoSynthesis(
      output: output, identities: videos, methods: videoMethods, frames: frames,
      synthesizer: synthesizer)
    try world.agreed { if world.isRoot, !overwrite { try synthesis.prepare() } }
    let threads = try ThreadShare.threads(self.threads, world)
    let total = synthesis.videos.count * frames
    let progress =
      world.isRoot ? ProgressLine("drawing frame", total: total, items: ("frames", 1)) : nil
    try synthesis.write(part: world.rank, of: world.size, threads: threads) { done, own in
      progress?.update(done * total / max(own, 1))
      RankStatus.progress()
    }
    try world.barrier()
    progress?.update(total)
    progress?.finish()
    if world.isRoot {
      printLines(
        "\(output): \(synthesis.videos.count) videos of \(frames) frames of \(side)x\(side) pixels, "
          + "\(videos) of them real")
    }
  }
}
