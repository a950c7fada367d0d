import Foundation
import Foundations
import MessagePassing

/// Where and by what a run was made: `environment.json`.
public struct RunEnvironment: Sendable {
  /// Versions of `rfm` and of the libraries in use, by name.
  public var versions: [JSON.Member]
  /// The host of every rank, in rank order.
  public var hosts: [String]
  /// Of rank 0.
  public var threadsPerRank: Int
  /// Where that number comes from, in words.
  public var threadsFrom: String?
  /// Of every rank, in rank order; empty where they are not known.
  public var threadsOfRanks: [Int]
  public var processor: Processor

  /// What is known of the processor this process runs on.
  public struct Processor: Sendable, Equatable {
    /// The maker's name for it; empty where the system does not tell.
    public var name: String
    public var architecture: String
    /// The highest level of the x86-64 instruction set that it has (`x86-64-v4`), or the
    /// architecture elsewhere; what the kernels choose by.
    public var instructionSet: String
    /// Whether it multiplies bfloat16 numbers itself.
    public var hasBFloat16: Bool
    /// Cores that this process may use.
    public var cores: Int

    /// The processor of this machine.
    public static let current = Processor(
      information: (try? String(contentsOfFile: "/proc/cpuinfo", encoding: .utf8)) ?? "",
      architecture: machineArchitecture(), cores: ProcessorLimits.current.processors.count)

    init(information: String, architecture: String, cores: Int) {
      func field(_ name: String) -> String {
        for line in information.split(separator: "\n") {
          let parts = line.split(separator: ":", maxSplits: 1)
          if parts.count == 2, parts[0].trimmingCharacters(in: .whitespaces) == name {
            return parts[1].trimmingCharacters(in: .whitespaces)
          }
        }
        return ""
      }
      let flags = Set(field("flags").split(separator: " ").map(String.init))
      // The levels of the x86-64 psABI, each with what it adds, as far as Linux shows it.
      let levels: [(name: String, adds: [String])] = [
        ("x86-64-v2", ["cx16", "lahf_lm", "popcnt", "sse4_1", "sse4_2", "ssse3"]),
        ("x86-64-v3", ["avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "abm", "movbe", "xsave"]),
        ("x86-64-v4", ["avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"]),
      ]
      var set = architecture == "x86_64" ? "x86-64" : architecture
      if architecture == "x86_64" {
        for level in levels {
          guard flags.isSuperset(of: level.adds) else { break }
          set = level.name
        }
      }
      let model = field("model name")
      name =
        model.isEmpty
        ? armProcessorName(implementer: field("CPU implementer"), part: field("CPU part")) : model
      self.architecture = architecture
      instructionSet = set
      hasBFloat16 =
        flags.contains("avx512_bf16")
        || Set(field("Features").split(separator: " ").map(String.init)).contains("bf16")
      self.cores = cores
    }

    private static func machineArchitecture() -> String {
      var name = utsname()
      guard uname(&name) == 0 else { return "unknown" }
      return withUnsafeBytes(of: name.machine) {
        String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
      }
    }
  }

  /// - Parameters:
  ///   - versions: of `rfm` and libraries; those of MPI and of the system are added.
  ///   - hosts: the host of every rank.
  ///   - threadsPerRank: rank 0's.
  ///   - threadsFrom: where that number comes from, in words.
  ///   - threadsOfRanks: every rank's.
  public init(
    versions: [JSON.Member], hosts: [String], threadsPerRank: Int, threadsFrom: String? = nil,
    threadsOfRanks: [Int] = []
  ) {
    let system = (try? String(contentsOfFile: "/etc/os-release", encoding: .utf8))?
      .split(separator: "\n").first { $0.hasPrefix("PRETTY_NAME=") }?
      .dropFirst("PRETTY_NAME=".count).trimmingCharacters(in: ["\""])
    self.versions =
      versions + [
        .init("mpi", .text(MessagePassing.libraryVersion)),
        .init("system", system.map { .text($0) } ?? .null),
      ]
    self.hosts = hosts
    self.threadsPerRank = threadsPerRank
    self.threadsFrom = threadsFrom
    self.threadsOfRanks = threadsOfRanks
    processor = .current
  }

  public var json: JSON {
    var members: [JSON.Member] = [
      .init("versions", .object(versions)),
      .init("ranks", .integer(hosts.count)),
      .init("hosts", .array(hosts.map { .text($0) })),
      .init("threads_per_rank", .integer(threadsPerRank)),
    ]
    if let threadsFrom { members.append(.init("threads_from", .text(threadsFrom))) }
    // Told where one number does not say it.
    if threadsOfRanks.contains(where: { $0 != threadsPerRank }) {
      members.append(.init("threads_of_ranks", .array(threadsOfRanks.map { .integer($0) })))
    }
    members.append(
      .init(
        "processor",
        [
          "name": .text(processor.name),
          "architecture": .text(processor.architecture),
          "instruction_set": .text(processor.instructionSet),
          "bfloat16": .boolean(processor.hasBFloat16),
          "cores": .integer(processor.cores),
        ]))
    return .object(members)
  }
}
