import ArgumentParser
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

      With --videos N it draws videos of N people instead: faces that move, speak and blink, each once as \
      it is and forged by --video-methods of the methods, as streams of PPM pictures for an encoder \
      (original/000.ppm, METHOD/000_001.ppm and their masks; launch/quickstart-media encodes them).

      The same seed makes the same bytes on any number of threads and ranks. Example, on every core of \
      one machine and then on eight ranks:

        rfm synthesize --output data/faces --images-per-class 2000
        mpirun -n 8 rfm synthesize --output /shared/faces --images-per-class 50000 --size 256
      """)

  @Option(
    help: ArgumentHelp("Folder for the shards; made if missing.", valueName: "dir"),
    transform: pathToWrite)
  var output: String

  @Option(
    help: ArgumentHelp(
      "Real pictures in all splits together; as many are forged. At least 15.", valueName: "n"))
  var imagesPerClass: Int = 2000

  @Option(help: ArgumentHelp("Pixels along each side: even, 64 to 1024.", valueName: "s"))
  var size: Int = 128

  @Option(help: ArgumentHelp("What all random draws follow from.", valueName: "k"))
  var seed: UInt64 = 1

  @Option(help: ArgumentHelp("The most pictures in one shard.", valueName: "n"))
  var imagesPerShard: Int = 500

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
    guard (fewest...10_000_000).contains(imagesPerClass) else {
      throw ValidationError(
        "--images-per-class is \(imagesPerClass), expected \(fewest) to 10000000: "
          + "three splits with a forgery by each of \(ForgeryMethod.allCases.count) methods.")
    }
    guard (64...1024).contains(size), size % 2 == 0 else {
      throw ValidationError("--size is \(size), expected an even number of 64 to 1024.")
    }
    guard imagesPerShard >= 1 else {
      throw ValidationError("--images-per-shard is \(imagesPerShard), expected at least 1.")
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

  func run(_ world: Communicator) throws {
    RankStatus.enter(.drawing)
    if let videos { return try draw(videos, world) }
    let plan = SynthesisPlan(imagesPerClass: imagesPerClass, imagesPerShard: imagesPerShard)
    let synthesis = ShardSynthesis(
      output: output, plan: plan, synthesizer: FaceSynthesizer(seed: seed, size: size))
    let threads = try ThreadShare.threads(self.threads, world)

    let place = world.isRoot ? try synthesis.prepare(overwrite: overwrite) : nil
    defer { withExtendedLifetime(place) {} }
    if let note = place?.note { say("rfm: \(note)") }
    try world.barrier()
    do {
      // Parts are of like size, so the first rank's progress stands for all.
      let progress =
        world.isRoot ? ProgressLine("drawing image", total: plan.count, items: ("images", 1)) : nil
      try synthesis.write(part: world.rank, of: world.size, threads: threads) { done, total in
        progress?.update(done * plan.count / max(total, 1))
        RankStatus.progress()
      }
      try world.barrier()
      if let place {
        progress?.update(plan.count)
        progress?.finish()
        try synthesis.publish(into: place)
      }
    } catch {
      if world.size == 1 { place?.abandon() }
      throw error
    }
    if world.isRoot { print(summary(of: plan)) }
  }

  private func summary(of plan: SynthesisPlan) -> String {
    var lines = [
      "\(output): \(plan.count) images of \(size)x\(size) pixels, half of them forged by "
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
      synthesizer: FaceSynthesizer(seed: seed, size: size))
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
        "\(output): \(synthesis.videos.count) videos of \(frames) frames of \(size)x\(size) pixels, "
          + "\(videos) of them real")
    }
  }
}
