import Foundation

/// Gives libFuzzer's inputs to one of the parsers:
///
///     rfm-fuzz TARGET [libFuzzer's arguments]
///
/// `launch/fuzz` builds it with the coverage that libFuzzer needs, and runs it.
@main
enum Fuzz {
  /// Set once, before the first input.
  nonisolated(unsafe) private static var run: (UnsafeRawBufferPointer) -> Void = { _ in }

  static func main() {
    guard CommandLine.arguments.count > 1,
      let target = FuzzTarget(rawValue: CommandLine.arguments[1])
    else {
      print(FuzzTarget.allCases.map(\.rawValue).joined(separator: "\n"))
      exit(CommandLine.arguments.count > 1 ? 64 : 0)
    }
    run = target.parser()
    // Without the target's name, libFuzzer reads the arguments.
    var arguments = CommandLine.unsafeArgv + 1
    arguments[0] = CommandLine.unsafeArgv[0]
    var count = CommandLine.argc - 1
    exit(
      runFuzzer(&count, &arguments) { data, size in
        Fuzz.run(UnsafeRawBufferPointer(start: data, count: size))
        return 0
      })
  }
}

/// libFuzzer as a library (FuzzerInterface.h): calls `body` with inputs until told to stop.
@_silgen_name("LLVMFuzzerRunDriver")
private func runFuzzer(
  _ count: UnsafeMutablePointer<Int32>,
  _ arguments: UnsafeMutablePointer<UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>>,
  _ body: @convention(c) (UnsafePointer<UInt8>?, Int) -> Int32
) -> Int32
