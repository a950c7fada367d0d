import ArgumentParser
import Benchmarking
import Configuration
import Faces
import Foundation
import Foundations
import MessagePassing
import Networks
import Tensors

extension Configuration.Communication.Compression: ExpressibleByArgument {}

struct BenchmarkCommand: RankCommand {
  static let configuration = CommandConfiguration(
    commandName: "benchmark",
    abstract: "Measure the training step, inference or reductions; predict larger clusters.",
    discussion: """
      Runs the whole step on shards of noise and prints the medians: images a second, seconds of \
      each phase, and the arithmetic against the rate of matrix multiplies measured in the same \
      run.

      --operations shows where the time goes, operation by operation, and which share of the processor's \
      or the memory's limit each reaches.

      --allreduce measures what it costs to sum gradients over ranks, from 1 kB to 128 MB. \
      --scaling predicts the step on 1 to 1,024 ranks, on common networks or the one that \
      --allreduce measured. A second table tells what a training of --shards and --images asks of \
      the rank that has most to do: bytes and messages that it receives at the start and in a \
      step, shards that are opened at the start, where no index of them is kept (by the first rank \
      of a host, by every other one, by all together), and the memory of tables of ranks and of \
      the index.

      --loading measures how images of shards come into batches in a training's order: how soon the first \
      may be read, how many come a second, and what the system is asked for each.

      --faces measures how fast frames of videos are decoded and faces found in them, each by itself and \
      together as rfm pack does it.

      Examples:
        rfm benchmark --loading 'd/train-*.h5' --config configs/deepfakebench.yaml
        rfm benchmark --faces videos/*.mp4
        rfm benchmark --threads 2
        mpirun -np 2 --bind-to none rfm benchmark --threads 1 --json
        rfm benchmark --inference --precision bfloat16
        rfm benchmark --operations --model efficientnet-b0
        mpirun -np 4 --hostfile hosts rfm benchmark --allreduce --json > reduction.json
        rfm benchmark --json > step.json
        rfm benchmark --scaling --step step.json --reduction reduction.json
      """)

  @Option(help: "The detector.")
  var model = DetectorName.xception
  @Option(help: "Input size in pixels.")
  var crop = 224
  @Option(help: "Images of a rank.")
  var batch = 8
  @Option(help: "Worker threads of a rank. Default: its share of the node's cores.")
  var threads: Int?
  @Option(help: "float32 or bfloat16, for attention and training.")
  var precision = Precision.float32
  @Option(help: "Steps that are measured.")
  var steps = 5
  @Option(help: "Steps before them.")
  var warmup = 2
  @Flag(help: "Measure inference (evaluate) instead of the step.")
  var inference = false
  @Flag(
    help: "Measure operation by operation, attention and update or, with --inference, inference.")
  var operations = false
  @Flag(
    help: ArgumentHelp(
      "Let ranks of one host, too, add up gradients by messages instead of in memory that they share."
    ))
  var messages = false
  @Flag(help: "Measure the reduction of gradients over ranks instead, by size.")
  var allreduce = false
  @Option(
    help: ArgumentHelp(
      "With --allreduce: the largest size in MB.", valueName: "n"))
  var largestMegabytes = 128.0
  @Flag(help: "Predict the step on more ranks.")
  var scaling = false
  @Option(
    help: ArgumentHelp(
      "With --scaling: a step of one rank that rfm benchmark --json measured. Default: measure it "
        + "now.", valueName: "file"), transform: pathToRead)
  var step: String?
  @Option(
    help: ArgumentHelp(
      "With --scaling: a network that rfm benchmark --allreduce --json measured. Default: common "
        + "ones.", valueName: "file"), transform: pathToRead)
  var reduction: String?
  @Option(help: "With --scaling: how gradients travel, none or bfloat16.")
  var compression = Configuration.Communication.Compression.none
  @Option(
    help: ArgumentHelp(
      "With --scaling: ranks of a host, which share its link. Default: as in the file of --reduction, or "
        + "else 1.", valueName: "n"))
  var ranksPerHost: Int?
  @Option(
    help: ArgumentHelp(
      "With --scaling: cores of a rank, which its threads and the reduction share. Default: its "
        + "threads.", valueName: "n"))
  var cores: Double?
  @Option(
    help: ArgumentHelp(
      "With --scaling: only this number of ranks. May be given several times.", valueName: "n"))
  var ranks: [Int] = []
  @Option(help: "With --scaling: training shards, for what a rank opens and keeps.")
  var shards = 10_000
  @Option(
    help: ArgumentHelp(
      "With --scaling: training images, likewise; default 10000000. With --loading: images that are loaded; "
        + "default 20000.", valueName: "n"))
  var images: Int?
  @Option(
    parsing: .upToNextOption,
    help: ArgumentHelp(
      "Measure loading images of these shards instead, in crops of --crop.", valueName: "pattern"))
  var loading: [String] = []
  @Option(
    help: ArgumentHelp(
      "With --loading: a configuration whose augmentations are done.", valueName: "file"),
    transform: pathToRead)
  var config: String?
  @Option(
    parsing: .upToNextOption,
    help: ArgumentHelp(
      "Measure decoding and face detection on these videos instead.", valueName: "video"),
    transform: pathToRead)
  var faces: [String] = []
  @Option(help: "With --faces: frames taken of a video.")
  var frames = 32
  @Flag(help: "Print JSON instead of a table.")
  var json = false
  @OptionGroup var watchdog: WatchdogOptions

  func validate() throws {
    guard !loading.isEmpty || model.crops.contains(crop) else {
      throw ValidationError("--crop takes \(model.cropsText) with --model \(model.rawValue)")
    }
    guard (1...1024).contains(batch), (1...100_000).contains(steps), (0...100_000).contains(warmup),
      (1...1024).contains(threads ?? 1)
    else {
      throw ValidationError(
        "--batch and --threads take 1 to 1024, --steps 1 to 100000, --warmup 0 to 100000")
    }
    guard
      [inference, allreduce, scaling, !faces.isEmpty, !loading.isEmpty].count(where: { $0 }) < 2
    else {
      throw ValidationError(
        "--inference, --allreduce, --scaling, --loading and --faces exclude each other")
    }
    guard !operations || !(allreduce || scaling || !faces.isEmpty || !loading.isEmpty) else {
      throw ValidationError("--operations can be combined with --inference only")
    }
    guard config == nil || !loading.isEmpty else {
      throw ValidationError("--config belongs to --loading")
    }
    guard (1...10_000).contains(frames) else {
      throw ValidationError("--frames takes 1 to 10000, not \(frames)")
    }
    guard largestMegabytes >= 0.002, largestMegabytes <= 1024 else {
      throw ValidationError("--largest-megabytes takes 0.002 to 1024: two sizes or more")
    }
    guard (1...1024).contains(ranksPerHost ?? 1), (cores ?? 1) > 0,
      ranks.allSatisfy({ (1...1_000_000).contains($0) })
    else { throw ValidationError("--ranks-per-host, --cores and --ranks take 1 or more") }
    guard shards > 0, (1...1 << 40).contains(images ?? 1), shards <= 1 << 40 else {
      throw ValidationError("--shards and --images take 1 or more")
    }
    guard scaling || (step == nil && reduction == nil && ranks.isEmpty && cores == nil) else {
      throw ValidationError("--step, --reduction, --ranks and --cores belong to --scaling")
    }
    guard scaling || (ranksPerHost == nil && compression == .none) else {
      throw ValidationError("--ranks-per-host and --compression belong to --scaling")
    }
  }

  func run(_ communicator: Communicator) throws {
    if !faces.isEmpty { return try findFaces(communicator) }
    if !loading.isEmpty { return try load(communicator) }
    if allreduce { return try reduce(communicator) }
    if scaling { return try predict(communicator) }
    if operations { return try measureOperations(communicator) }
    let report = try measure(communicator)
    guard communicator.isRoot else { return }
    if json { return try printJSON(report) }
    show(report)
  }

  private func measureOperations(_ communicator: Communicator) throws {
    guard communicator.size == 1 else {
      throw ValidationError("--operations measures one rank: start it without mpirun")
    }
    let report = try OperationBenchmark.run(settings(communicator), communicator)
    if json { return try printJSON(report) }
    print(OperationTable.text(report))
  }

  private func findFaces(_ communicator: Communicator) throws {
    guard communicator.isRoot else { return }
    let report = try FaceBenchmark.run(
      faces, frames: frames, settings: FaceCropSettings(),
      threads: try threads ?? ThreadShare.perRank(communicator).threads)
    if json { return try printJSON(report) }
    print("\(report.videos) videos, \(report.threads) threads")
    print(
      "decoding   \(significant(report.decodedFramesPerSecond)) frames/s, of which "
        + "\(significant(report.framesTakenPerSecond)) are taken")
    print("detection  \(significant(report.detectedFramesPerSecond)) frames/s")
    print(
      "together   \(significant(report.facesPerSecond)) faces/s (\(report.faces) of "
        + "\(report.frames) frames show one)")
  }

  private func load(_ communicator: Communicator) throws {
    var wanted = try config.map { try Configuration.load(path: $0) } ?? Configuration()
    wanted.data.train = loading
    wanted.data.validation = []
    wanted.data.crop = crop
    wanted.data.sampling = .uniform
    wanted.training.batchPerRank = batch
    wanted.training.threads = try threads ?? ThreadShare.perRank(communicator).threads
    let report = try LoadingBenchmark.run(
      wanted, images: images ?? 20_000, communicator: communicator)
    guard communicator.isRoot else { return }
    if json { return try printJSON(report) }
    print("\(report.images) images in \(report.shards) shards, \(report.threads) threads")
    print("opened in       \(significant(report.openSeconds)) s")
    print("next of order   \(significant(report.orderMicroseconds)) us")
    print("images/s        \(significant(report.imagesPerSecond)) (\(report.loaded) of them)")
    print("reads an image  \(fixed(report.readsPerImage, 3))")
    print("opens an image  \(fixed(report.opensPerImage, 4))")
  }

  private func measure(_ communicator: Communicator) throws -> BenchmarkJob.Report {
    try BenchmarkJob.run(settings(communicator), communicator: communicator)
  }

  private func settings(_ communicator: Communicator) throws -> BenchmarkSettings {
    var settings = BenchmarkSettings()
    settings.model = model
    settings.crop = crop
    settings.batch = batch
    let share = try ThreadShare.perRank(communicator)
    settings.threads = threads ?? share.threads
    settings.threadsFrom = threads == nil ? share.origin : "--threads"
    settings.precision = precision
    settings.steps = steps
    settings.warmup = warmup
    settings.inference = inference
    settings.hostMemory = !messages
    return settings
  }

  private func printJSON(_ report: some Encodable) throws {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
    print(String(decoding: try encoder.encode(report), as: UTF8.self))
  }

  private func show(_ report: BenchmarkJob.Report) {
    print(
      "\(report.model) at \(report.crop), batch \(report.batchPerRank) a rank, "
        + "\(report.ranks) ranks of \(report.threads) threads, \(report.precision), \(report.kernels)"
        + (report.bfloat16Multiply.map { ", multiplied as \($0)" } ?? "")
    )
    if let origin = report.threadsFrom { print("threads         \(origin)") }
    print("images/s        \(fixed(report.imagesPerSecond, 2))")
    for name in ["load", "attention", "erase", "forward", "backward", "reduce", "update"] {
      guard let seconds = report.secondsPerPhase[name] else { continue }
      let label = name.padding(toLength: 15, withPad: " ", startingAt: 0)
      print("\(label) \(fixed(seconds * 1000, 1)) ms")
    }
    print("Gflop/s         \(fixed(report.gflopsPerSecond, 1))")
    print("  multiply rate \(fixed(report.gemmGflopsPerSecond, 1))")
    print("  of it         \(fixed(report.percentOfGemm, 1)) %")
    print("peak memory     \(report.peakMemoryBytes >> 20) MiB a rank")
    if report.ranks > 1, let sums = report.gradientSums {
      print("gradients       summed \(Self.words(of: sums))")
    }
    if let allocations = report.allocationsPerStep {
      print("allocations     \(fixed(allocations, 1)) a step")
    }
    print("waits for data  \(fixed(100 * report.dataWaitFraction, 2)) %")
  }

  private static func words(of gradientSums: String?) -> String {
    switch gradientSums {
    case "memory": "in shared memory"
    case "hierarchical": "in memory within hosts, by messages between them"
    default: "by messages"
    }
  }

  // MARK: Reductions

  private func reduce(_ communicator: Communicator) throws {
    let report = try ReductionBenchmark.run(
      communicator,
      sizes: (0...20).map { 1024 << $0 }.filter { Double($0) <= largestMegabytes * 1_048_576 },
      messages: messages)
    guard communicator.isRoot else { return }
    if json { return try printJSON(report) }
    print(
      "sums of gradients over \(report.ranks) ranks on \(report.hosts) hosts, "
        + Self.words(of: report.gradientSums))
    for series in report.series {
      print("\ncompression \(series.compression)")
      print(columns("bytes", "ms", "MB/s", "processor ms"))
      for point in series.points {
        print(
          columns(
            "\(point.bytes)", fixed(point.seconds * 1e3, 3), fixed(point.bytesPerSecond / 1e6, 1),
            fixed(point.processorSeconds * 1e3, 3)))
      }
      let network = series.network
      // Small sizes alone may tell nothing of it.
      let bandwidth =
        network.bandwidth < 1e15 ? "\(fixed(network.bandwidth / 1e6, 1)) MB/s" : "not measurable"
      print(
        "latency \(fixed(network.latency * 1e6, 1)) us, bandwidth \(bandwidth), processor "
          + "\(fixed(network.processorPerByte * 1e9, 3)) ns a byte")
    }
  }

  // MARK: Prediction

  private func predict(_ communicator: Communicator) throws {
    guard communicator.size == 1 else {
      throw ValidationError("--scaling predicts from one rank: start it without mpirun")
    }
    let compute =
      try step.map(ScalingForecast.readCompute)
      ?? ScalingForecast.compute(from: measure(communicator), path: "the step")
    let measured = try reduction.map { try ScalingForecast.readNetwork($0, compression) }
    let networks =
      measured.map { [ScalingForecast.Candidate(name: "measured", network: $0.network)] }
      ?? ScalingForecast.commonNetworks
    var model = ScalingModel(compute: compute, network: networks[0].network)
    model.compression = compression
    model.ranksPerHost = ranksPerHost ?? measured?.ranksPerHost ?? 1
    model.isHierarchical = measured?.isHierarchical ?? !messages
    model.contention = 1 / (try cores ?? Double(ThreadShare.threads(threads, communicator)))
    let images = images ?? 10_000_000
    let rows = ScalingForecast.rows(
      model, networks: networks, ranks: ranks.isEmpty ? ScalingForecast.ranks : ranks,
      data: (shards, images))
    if json { return try printJSON(rows) }
    print("a step of one rank: \(fixed(compute.step * 1e3, 1)) ms, \(compute.imagesPerRank) images")
    for (index, row) in rows.enumerated() {
      if index == 0 || rows[index - 1].network != row.network {
        print("\n\(row.network)")
        print(columns("ranks", "ms a step", "waits ms", "images/s", "efficiency"))
      }
      print(
        columns(
          "\(row.ranks)", fixed(row.secondsPerStep * 1e3, 1), fixed(row.exposedSeconds * 1e3, 1),
          fixed(row.imagesPerSecond, 1), fixed(row.efficiency, 3)))
    }
    print(
      "\nwhat it asks of a rank, of \(shards) shards and \(images) images, at most (by all: of all "
        + "ranks)")
    print(
      columns(
        "ranks", "hosts", "start MB", "messages", "shards", "by others", "by all", "step MB",
        "messages", "kept MB"))
    for row in rows where row.network == rows[0].network {
      let costs = row.costs
      print(
        columns(
          "\(costs.ranks)", "\(costs.hosts)", fixed(Double(costs.startBytes) / 1e6, 2),
          "\(costs.startMessages)", "\(costs.startFiles)", "\(costs.otherFiles)",
          "\(costs.allFiles)", fixed(Double(costs.stepBytes) / 1e6, 2), "\(costs.stepMessages)",
          fixed(Double(costs.memoryBytes) / 1e6, 2)))
    }
  }

  private func columns(_ cells: String...) -> String {
    cells.map { String(repeating: " ", count: max(0, 14 - $0.count)) + $0 }.joined()
  }
}
