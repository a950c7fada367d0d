// swift-tools-version: 6.1
import PackageDescription

/// libFuzzer without its main function (libclang_rt.fuzzer_no_main), told by launch/fuzz: only then is
/// there a program for fuzzing.
let fuzzer = Context.environment["RFM_FUZZER"]

/// Tests are compiled without optimisation, which is quicker; the code under test keeps its own.
let testSettings: [SwiftSetting] = [.unsafeFlags(["-Onone"])]

/// Each room imports only rooms above it; the C targets are the only code that sees a C library's
/// header.
let package = Package(
  name: "rfm",
  products: [.executable(name: "rfm", targets: ["rfm"])],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
    .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
  ],
  targets: [
    // C libraries, each behind a thin shim of its own.
    .systemLibrary(
      name: "OpenMPI", path: "Sources/Libraries/OpenMPI/Headers", pkgConfig: "ompi-c",
      providers: [.apt(["libopenmpi-dev"])]),
    .systemLibrary(
      name: "HDF5", path: "Sources/Libraries/HDF5/Headers", pkgConfig: "hdf5-serial",
      providers: [.apt(["libhdf5-dev"])]),
    .systemLibrary(
      name: "OpenBLAS", path: "Sources/Libraries/OpenBLAS/Headers", pkgConfig: "openblas",
      providers: [.apt(["libopenblas-dev"])]),
    .systemLibrary(
      name: "JPEG", path: "Sources/Libraries/JPEG/Headers", pkgConfig: "libjpeg",
      providers: [.apt(["libjpeg-dev"])]),
    .systemLibrary(
      name: "PNG", path: "Sources/Libraries/PNG/Headers", pkgConfig: "libpng",
      providers: [.apt(["libpng-dev"])]),
    .systemLibrary(
      name: "WebP", path: "Sources/Libraries/WebP/Headers", pkgConfig: "libwebpdemux",
      providers: [.apt(["libwebp-dev"])]),
    .systemLibrary(
      name: "TIFF", path: "Sources/Libraries/TIFF/Headers", pkgConfig: "libtiff-4",
      providers: [.apt(["libtiff-dev"])]),
    .systemLibrary(
      name: "HEIF", path: "Sources/Libraries/HEIF/Headers", pkgConfig: "libheif",
      providers: [.apt(["libheif-dev"])]),
    .systemLibrary(
      name: "OpenSSL", path: "Sources/Libraries/OpenSSL/Headers", pkgConfig: "libcrypto",
      providers: [.apt(["libssl-dev"])]),
    .systemLibrary(
      name: "ZLib", path: "Sources/Libraries/ZLib/Headers", pkgConfig: "zlib",
      providers: [.apt(["zlib1g-dev"])]),
    // A target has one name of pkg-config; libavformat's brings headers, the shim's settings the rest.
    .systemLibrary(
      name: "FFmpeg", path: "Sources/Libraries/FFmpeg/Headers", pkgConfig: "libavformat",
      providers: [
        .apt(["libavformat-dev", "libavcodec-dev", "libswscale-dev", "libavutil-dev"])
      ]),
    .target(
      name: "CFFmpeg", dependencies: ["FFmpeg"], path: "Sources/Libraries/FFmpeg/Shim",
      linkerSettings: ["avformat", "avcodec", "swscale", "avutil"].map { .linkedLibrary($0) }),
    .target(name: "CZLib", dependencies: ["ZLib"], path: "Sources/Libraries/ZLib/Shim"),
    .target(
      name: "COpenMPI", dependencies: ["OpenMPI", "CStandardStreams"],
      path: "Sources/Libraries/OpenMPI/Shim"),
    .target(
      name: "CHDF5", dependencies: ["HDF5", "ZLib"], path: "Sources/Libraries/HDF5/Shim"),
    .target(name: "COpenBLAS", dependencies: ["OpenBLAS"], path: "Sources/Libraries/OpenBLAS/Shim"),
    .target(
      name: "COneDNN", path: "Sources/Libraries/OneDNN/Shim",
      linkerSettings: [.linkedLibrary("dnnl")]),
    .target(name: "CJPEG", dependencies: ["JPEG"], path: "Sources/Libraries/JPEG/Shim"),
    // zlib unpacks texts.
    .target(name: "CPNG", dependencies: ["PNG", "ZLib"], path: "Sources/Libraries/PNG/Shim"),
    // dlib's detector is C++ in its headers: this compiles it. Of the library itself only what unpacks the
    // detector's filters is called. It is linked statically, because Debian's shared one brings the
    // landmark model, which is not for commercial use, and BLAS.
    .target(
      name: "CDlib", path: "Sources/Libraries/Dlib/Shim",
      linkerSettings: [.linkedLibrary(":libdlib.a"), .linkedLibrary("stdc++")]),
    // pkg-config names the library that the other needs itself only where linkers want it all (Debian 12).
    .target(
      name: "CWebP", dependencies: ["WebP"], path: "Sources/Libraries/WebP/Shim",
      linkerSettings: [.linkedLibrary("webp")]),
    .target(name: "CTIFF", dependencies: ["TIFF"], path: "Sources/Libraries/TIFF/Shim"),
    // As oneDNN without pkg-config: its file has a flag that Swift's package manager warns of.
    .target(
      name: "CAVIF", path: "Sources/Libraries/AVIF/Shim",
      linkerSettings: [.linkedLibrary("avif")]),
    .target(name: "CHEIF", dependencies: ["HEIF"], path: "Sources/Libraries/HEIF/Shim"),
    .target(name: "CKernels"),
    .target(name: "CAllocations", path: "Sources/Libraries/Linux/Allocations"),
    .target(name: "CFileNames", path: "Sources/Libraries/Linux/FileNames"),
    .target(name: "CHostMemory", path: "Sources/Libraries/Linux/HostMemory"),
    .target(name: "CStandardStreams", path: "Sources/Libraries/Linux/StandardStreams"),

    // The rooms, from the ground up.
    .target(name: "Foundations", dependencies: ["OpenSSL", "CStandardStreams"]),
    .target(name: "MessagePassing", dependencies: ["Foundations", "COpenMPI", "CHostMemory"]),
    .target(name: "HierarchicalData", dependencies: ["Foundations", "CHDF5"]),
    .target(name: "Tensors", dependencies: ["CKernels", "COpenBLAS", "COneDNN"]),
    .target(name: "Networks", dependencies: ["Foundations", "Tensors", "CKernels", "CZLib"]),
    .target(name: "ForgeryMining", dependencies: ["Tensors"]),
    .target(
      name: "Images",
      dependencies: [
        "Foundations", "Tensors", "CJPEG", "CPNG", "CWebP", "CTIFF", "CAVIF", "CHEIF",
      ]),
    .target(
      name: "Faces", dependencies: ["Foundations", "Tensors", "Images", "CDlib", "CFFmpeg"]),
    .target(
      name: "FaceShards",
      dependencies: [
        "Foundations", "MessagePassing", "HierarchicalData", "Tensors", "Images", "Faces",
        .product(name: "Yams", package: "Yams"),
      ]),
    .target(
      name: "SyntheticFaces", dependencies: ["Foundations", "Tensors", "FaceShards"]),
    .target(
      name: "Configuration",
      dependencies: [
        "Foundations", "MessagePassing", "HierarchicalData", "Tensors", "Networks", "ForgeryMining",
        "Images", .product(name: "Yams", package: "Yams"),
      ]),
    .target(
      name: "Checkpoints",
      dependencies: [
        "Foundations", "MessagePassing", "HierarchicalData", "CFileNames", "Networks",
        "ForgeryMining", "Images", "FaceShards", "Configuration",
      ]),
    .target(
      name: "Evaluation",
      dependencies: [
        "Foundations", "MessagePassing", "HierarchicalData", "Tensors", "Networks", "ForgeryMining",
        "Images", "FaceShards", "Checkpoints",
      ]),
    .target(
      name: "Training",
      dependencies: [
        "Foundations", "MessagePassing", "Tensors", "CKernels", "Networks", "ForgeryMining",
        "Images", "FaceShards", "Configuration", "Checkpoints", "Evaluation",
      ]),
    .target(
      name: "Comparison",
      dependencies: [
        "Foundations", "MessagePassing", "Tensors", "Networks", "ForgeryMining", "Images",
        "FaceShards", "Configuration", "Checkpoints", "Evaluation", "Training",
      ]),
    .target(
      name: "Benchmarking",
      dependencies: [
        "Foundations", "MessagePassing", "Tensors", "CKernels", "Networks", "ForgeryMining",
        "Images", "Faces", "FaceShards", "Configuration", "Evaluation", "Training",
        "CAllocations",
      ]),
    .target(
      name: "Reports",
      dependencies: [
        "Foundations", "MessagePassing", "Tensors", "Networks", "ForgeryMining", "Images",
        "Faces", "FaceShards", "Configuration", "Checkpoints", "Evaluation", "Training",
        "Comparison",
      ],
      resources: [
        .embedInCode("Resources/report.css"), .embedInCode("Resources/print.css"),
        .embedInCode("Resources/report.js"),
      ]),
    .executableTarget(
      name: "rfm",
      dependencies: [
        "Foundations", "MessagePassing", "Tensors", "Networks", "ForgeryMining", "Images", "Faces",
        "FaceShards", "SyntheticFaces", "Configuration", "Checkpoints", "Evaluation", "Training",
        "Comparison", "Benchmarking", "Reports",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ]),

    // Tests: one target a room.
    .target(name: "TestSupport", dependencies: ["Images"], path: "Tests/TestSupport"),
    tests("Foundations"),
    tests("MessagePassing"),
    tests("HierarchicalData", ["TestSupport"]),
    tests("Tensors", ["COpenBLAS", "COneDNN", "CKernels"]),
    // Optimised: they draw and sketch every weight of the full Xception.
    tests(
      "Networks", ["Training", "CKernels", "TestSupport"],
      golden: true, settings: []),
    tests("ForgeryMining", golden: true),
    tests("Images", ["TestSupport"], golden: true),
    tests("Faces", ["CDlib", "CFFmpeg", "TestSupport"], golden: true),
    tests("FaceShards", ["TestSupport"], golden: true),
    tests("SyntheticFaces"),
    tests("Configuration", ["TestSupport"]),
    tests("Checkpoints", ["Evaluation", "Training", "TestSupport"]),
    tests("Evaluation", ["TestSupport"], golden: true),
    tests("Training", ["TestSupport"], golden: true),
    tests("Comparison", golden: true),
    tests("Benchmarking"),
    tests("Reports", ["TestSupport"], golden: true),
    // Every collective and the gradient reduction, checked; IntegrationTests starts it under mpirun.
    .executableTarget(
      name: "mpi-checks", dependencies: ["MessagePassing", "Tensors", "Configuration", "Training"],
      path: "Tests/MPIChecks"),
    tests(
      "Integration", of: "rfm",
      ["mpi-checks", "TestSupport", .product(name: "Yams", package: "Yams")]),
  ],
  swiftLanguageModes: [.v6],
  cxxLanguageStandard: .cxx17
)

/// The tests of a room. What it depends on comes with it; `others` are what they import besides.
func tests(
  _ room: String, of target: String? = nil, _ others: [Target.Dependency] = [],
  golden: Bool = false,
  settings: [SwiftSetting] = testSettings
) -> Target {
  .testTarget(
    name: "\(room)Tests", dependencies: [.byName(name: target ?? room)] + others,
    resources: golden ? [.copy("Golden")] : [], swiftSettings: settings)
}

if let fuzzer {
  package.targets.append(
    .executableTarget(
      name: "rfm-fuzz",
      dependencies: [
        "Foundations", "Images", "FaceShards", "Networks", "Configuration", "Checkpoints",
        "Evaluation",
      ],
      path: "Tests/Fuzz",
      exclude: ["Dictionaries", "Seeds"],
      linkerSettings: [.unsafeFlags(["-Xlinker", fuzzer]), .linkedLibrary("stdc++")]))
}
